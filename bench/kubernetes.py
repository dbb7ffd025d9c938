"""A stack on Kubernetes: from an empty namespace to serving beside kubectl with the same manifests, and no changes."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.nothing_changed import one_resource, seconds_of
from bench.row import Row, spread
from bench.stack import as_a_users
from tests.conftest import started_at
from tests.kubernetes.cluster import running_cluster
from tests.kubernetes.site import ClusterSite, free_node_port, new_cluster_site

PAIRS = 3
UNCHANGED_PAIRS = 5
ROLLOUT_SECONDS = 180
# What a person types has to wait where one thing needs another: a job that starts too early has failed.
STAGES: tuple[tuple[str, ...], ...] = (
    ("Namespace",),
    ("ServiceAccount", "Role", "RoleBinding", "NetworkPolicy", "Secret", "ConfigMap", "PersistentVolumeClaim"),
    ("Service", "StatefulSet/database"),
    ("Job/database-roles",),
    ("Job/migrate",),
    # Backups and restores have roles of their own, and are ready once they are let in.
    ("StatefulSet/db", "Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler"),
)

Manifest = dict[str, Any]


def rows() -> list[Row]:
    """Measure both figures on one cluster."""
    with tempfile.TemporaryDirectory(prefix="scaffold-bench-") as name, stack(Path(name)) as site:
        site.up()
        pairs = []
        for _ in range(PAIRS):
            manifests = handed_over(site)
            by_kubectl = apply(site, manifests)
            remove(site)
            by_pulumi = up_from_nothing(site)
            pairs.append((by_pulumi, by_kubectl))
        small = one_resource(site, site.folder.parent / "one")
        seconds_of(site)
        seconds_of(small)
        unchanged = [(seconds_of(site), seconds_of(small)) for _ in range(UNCHANGED_PAIRS)]
        remove(site)
    ratio = statistics.median(pulumi / kubectl for pulumi, kubectl in pairs)
    how = f"`pulumi up`: {spread([p for p, _ in pairs])}; kubectl: {spread([k for _, k in pairs])}"
    beyond = statistics.median(whole - one for whole, one in unchanged)
    how_unchanged = (
        f"whole: {spread([whole for whole, _ in unchanged])}; one resource: {spread([one for _, one in unchanged])}"
    )
    return [
        Row("Kubernetes: empty namespace to serving, over kubectl", ratio, 1.5, "of kubectl's time", how),
        Row("Kubernetes: nothing changed, beyond a one-resource program", beyond, 3, "s", how_unchanged),
    ]


@contextmanager
def stack(folder: Path) -> Iterator[ClusterSite]:
    """Make a stack on the tests' cluster, and remove it whatever happens."""
    cluster = running_cluster()
    name = f"bench-{os.getpid()}-{started_at(os.getpid())}"
    site = new_cluster_site(folder, name, cluster, free_node_port())
    as_a_users(site)
    site.config("protectData", "false")
    try:
        yield site
    finally:
        site.remove_namespace()


def handed_over(site: ClusterSite) -> list[Manifest]:
    """Return the manifests of the stack as they were handed to the API, with their secrets."""
    exported = json.loads(site.pulumi("stack", "export", "--show-secrets").stdout)
    found = [
        revealed(each["inputs"])
        for each in exported["deployment"]["resources"]
        if each["type"].startswith("kubernetes:")
    ]
    return [each for each in found if "apiVersion" in each]


def revealed(value: Any) -> Any:
    """Return a value of the state with its secrets in clear."""
    if isinstance(value, dict):
        if "plaintext" in value:
            return json.loads(value["plaintext"])
        return {key: revealed(each) for key, each in value.items()}
    return [revealed(each) for each in value] if isinstance(value, list) else value


def remove(site: ClusterSite) -> None:
    """Take the stack away with its data."""
    site.pulumi("state", "unprotect", "--all", "--yes", check=False)
    site.pulumi("destroy", "--yes", "--skip-preview")
    site.remove_namespace()


def up_from_nothing(site: ClusterSite) -> float:
    """Return the seconds from `pulumi up` to the site's answer."""
    started = time.monotonic()
    site.up()
    site.wait_for(lambda answer: answer.status == 200)
    return time.monotonic() - started


def apply(site: ClusterSite, manifests: list[Manifest]) -> float:
    """Return the seconds from the first `kubectl apply` to the site's answer, in a namespace that was emptied."""
    remove(site)
    started = time.monotonic()
    for stage in STAGES:
        chosen = [each for each in manifests if belongs(each, stage)]
        site.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": chosen}))
        for each in chosen:
            wait(site, each)
    site.wait_for(lambda answer: answer.status == 200)
    took = time.monotonic() - started
    site.remove_namespace()
    return took


def belongs(manifest: Manifest, stage: tuple[str, ...]) -> bool:
    """Whether a manifest is applied in a stage."""
    named = f"{manifest['kind']}/{manifest['metadata']['name']}"
    return any(named == each or named.startswith(f"{each}-") or manifest["kind"] == each for each in stage)


def wait(site: ClusterSite, manifest: Manifest) -> None:
    """Wait for one object as a person does on a terminal."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    if kind in ("Deployment", "StatefulSet"):
        site.kubectl(
            "rollout", "status", f"{kind}/{name}", f"--timeout={ROLLOUT_SECONDS}s", timeout=ROLLOUT_SECONDS + 10
        )
    elif kind == "Job":
        site.kubectl(
            "wait",
            f"job/{name}",
            "--for=condition=Complete",
            f"--timeout={ROLLOUT_SECONDS}s",
            timeout=ROLLOUT_SECONDS + 10,
        )
