"""What the stack hands to the API, looked at by tools that others made."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.kubernetes.site import ClusterSite

VERSION = "1.34"
# What kube-score calls critical and is meant to be as it is; the reason goes with it.
ACCEPTED = {
    "Container Image Pull Policy": "images are named by digest: what is on the node is what was asked for, and a pod "
    "that starts again must not depend on the registry",
    "Service Type": "the stack under test is reached by a NodePort; the default is ClusterIP",
    "StatefulSet has PodDisruptionBudget": "one database on one claim: a budget would keep nodes from being drained",
    "StatefulSet has host PodAntiAffinity": "there is one database pod",
    "Pod NetworkPolicy": "checked by connecting: see the test of who reaches whom",
}


@pytest.fixture(scope="module")
def manifests(serving: ClusterSite) -> list[dict[str, Any]]:
    """Every object of the stack as it was handed to the API, secrets masked."""
    exported = json.loads(serving.pulumi("stack", "export").stdout)
    found = [
        resource["inputs"]
        for resource in exported["deployment"]["resources"]
        if resource["type"].startswith("kubernetes:")
    ]
    assert len(found) > 15
    return found


@pytest.fixture(scope="session")
def kube_score(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program kube-score, built from its Go module; Go's own cache makes it quick."""
    program = tmp_path_factory.mktemp("kube-score") / "kube-score"
    done = subprocess.run(
        ["go", "build", "-mod=readonly", "-trimpath", "-o", str(program), "github.com/zegl/kube-score/cmd/kube-score"],
        cwd=Path(__file__).parent / "kube_score",
        env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOFLAGS": "", "GOWORK": "off"},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return program


def test_every_manifest_fits_the_schema_of_its_kind(manifests: list[dict[str, Any]]) -> None:
    problems = []
    for manifest in manifests:
        if "apiVersion" not in manifest or is_masked(manifest.get("data")):
            continue
        try:
            kubernetes_validate.validate(manifest, VERSION, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            problems.append(f"{manifest['kind']} {manifest['metadata']['name']}: {error}")
    assert problems == []


def is_masked(value: object) -> bool:
    """Whether a value is encrypted in the state."""
    return isinstance(value, dict) and "ciphertext" in value


def test_kube_score_finds_nothing_critical_but_what_is_accepted(
    manifests: list[dict[str, Any]], kube_score: Path
) -> None:
    text = "---\n".join(yaml.safe_dump(each) for each in manifests if "apiVersion" in each and each["kind"] != "Secret")
    done = subprocess.run(
        [str(kube_score), "score", "--output-format", "json", "--kubernetes-version", f"v{VERSION}", "-"],
        input=text, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    scored = json.loads(done.stdout)
    assert len(scored) > 10, done.stderr
    critical = {
        f"{each['type_meta']['kind']} {each['object_meta']['name']}: {check['check']['name']}: {check.get('comments')}"
        for each in scored
        for check in each["checks"] or []
        if not check["skipped"] and check["grade"] == 1 and check["check"]["name"] not in ACCEPTED
    }
    assert critical == set()
