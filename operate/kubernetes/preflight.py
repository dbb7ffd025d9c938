"""What would make an update on a cluster fail, said before it begins; pure, from what the cluster answered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from operate.kubernetes.kinds import KINDS, Kind
from setup.plan import listing
from setup.problem import Problem

VERBS = ("create", "delete", "get", "list", "patch", "watch")
DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
LONGEST = 63
WITHOUT = {
    "database": "a managed database (databaseUrl) needs no claim",
    "archive": "make config ARGS='set pitr false'",
    "backups": "make config ARGS='set backups false'",
    "restore": "make config ARGS='set restores false'",
}
"""What a stack needs no claim of that name with."""
# What pods are told to do before they stop, `sleep`, is there since then.
OLDEST = (1, 30)

Object = Mapping[str, Any]
Ask = tuple[str, str, str]
"""A verb, an API group and a resource (`pods/log`) of it."""

BESIDE: tuple[Ask, ...] = (
    ("list", "", "pods"),
    ("watch", "", "pods"),
    ("get", "", "pods/log"),
    ("list", "apps", "replicasets"),
)
RIGHTS = "docs/kubernetes-rights.yaml"


def name_problem(stack: str, namespace: str) -> Problem | None:
    """Return that no namespace can be called as this stack's would have to be."""
    if len(namespace) <= LONGEST and re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", namespace):
        return None
    return Problem(
        f"The stack {stack} would live in the namespace {namespace!r}, and Kubernetes has none of such a name.",
        f"give it another name: a-z, 0-9 and -, {LONGEST - len(namespace) + len(stack)} characters at the most",
    )


def version_problem(major: str, minor: str) -> Problem | None:
    """Return that the cluster is too old; a version that cannot be read is believed to be new."""
    numbers = [re.match(r"\d+", part) for part in (major, minor)]
    found = tuple(int(number[0]) for number in numbers if number)
    if len(found) < 2 or found >= OLDEST:
        return None
    return Problem(
        f"The cluster runs Kubernetes {major}.{minor}; {'.'.join(map(str, OLDEST))} or newer is wanted.",
        "upgrade it, or use another: make config ARGS='set kubeContext NAME'",
    )


def moved_problem(stack: str, before: str, now: str, server: str) -> Problem | None:
    """Return that the stack was made on another cluster than the one that answers now, by what tells them apart."""
    if not before or not now or before == now:
        return None
    return Problem(
        f"The stack {stack} is on another cluster than the one at {server}, which the kubeconfig leads to now.",
        f"lead it back (KUBECONFIG, or make config STACK={stack} ARGS='set kubeconfig PATH' or kubeContext); "
        f"for a site on this cluster too, make another stack; to move, make destroy STACK={stack} on the first one",
    )


def asks(set_here: frozenset[str], *, namespace_is_there: bool) -> list[Ask]:
    """Return what an update has to be allowed, given the settings that have a value in the stack's file."""
    wanted = [kind for kind in KINDS if not kind.needs or kind.needs in set_here]
    rights = [(verb, kind.group, kind.plural) for kind in wanted for verb in VERBS]
    namespace = ("get", "patch") if namespace_is_there else ("create", "get", "patch")
    return [*rights, *BESIDE, *((verb, "", "namespaces") for verb in namespace)]


def rights_problem(refused: Sequence[Ask], namespace: str, context: str) -> Problem | None:
    """Return what the user of the kubeconfig may not do."""
    if not refused:
        return None
    by_resource: dict[str, list[str]] = {}
    for verb, group, resource in refused:
        by_resource.setdefault(f"{resource}.{group}" if group else resource, []).append(verb)
    lines = [f"{resource}: {', '.join(verbs)}" for resource, verbs in by_resource.items()]
    return Problem(
        f"The user of context {context!r} may not do in namespace {namespace} what this stack needs:\n"
        + "\n".join(lines),
        f"have the cluster's administrator make the namespace and grant it ({RIGHTS}, with {namespace} in it and the "
        "name of this user), or use another context: make config ARGS='set kubeContext NAME'",
    )


def namespace_problem(found: Object | None, namespace: str, labels: Mapping[str, str], stack: str) -> Problem | None:
    """Return whose namespace it is, where it is not this stack's, or that it is on its way out."""
    if found is None:
        return None
    meta = found.get("metadata") or {}
    if (found.get("status") or {}).get("phase") == "Terminating" or meta.get("deletionTimestamp"):
        return Problem(
            f"The namespace {namespace} is being deleted.",
            f"wait until it is gone (kubectl get namespace {namespace}; where it stays, what is left in it holds it), "
            "then run this again",
        )
    carried = meta.get("labels") or {}
    differing = [key for key, value in labels.items() if carried.get(key) != value]
    if not differing:
        return None
    whose = ", ".join(f"{key}={carried.get(key, 'none')}" for key in differing)
    theirs = any(key in carried for key in differing)
    wanted = " ".join(f"{key}={value}" for key, value in labels.items())
    return Problem(
        f"The namespace {namespace} is there and was not made for the stack {stack} ({whose}).",
        "give the stack another name (STACK=…)"
        + (
            ""
            if theirs
            else f", or the namespace to the stack, if it is for nothing else: "
            f"kubectl label namespace {namespace} {wanted}"
        ),
    )


def node_port_problem(port: int, services: Sequence[Object], namespace: str) -> Problem | None:
    """Return which Service has the port on the nodes already, unless it is one of this stack's."""
    for service in services:
        meta = service.get("metadata") or {}
        if meta.get("namespace") == namespace:
            continue
        ports = (service.get("spec") or {}).get("ports") or []
        if any(each.get("nodePort") == port for each in ports):
            return Problem(
                f"Port {port} of the nodes is taken by the Service {meta.get('namespace')}/{meta.get('name')}.",
                "use another: make config ARGS='set nodePort 30081' (and siteUrl to match); 0 lets the cluster choose",
            )
    return None


def claims_wanted(*, managed: bool, archive: bool, backups: bool, restores: bool) -> list[str]:
    """Return the names of the claims that a stack has, by what its settings say."""
    wanted = {"database": not managed, "archive": archive, "backups": backups, "restore": restores}
    return [name for name, there in wanted.items() if there]


def storage_problem(wanted: str, classes: Sequence[Object], claims: Sequence[str]) -> Problem | None:
    """Return why claims would stay unbound; `claims` are those that are still to be made."""
    if not claims:
        return None
    names = sorted(str(each["metadata"]["name"]) for each in classes)
    there = f"it has {listing(names)}" if names else "it has none"
    without = f"or do without: {'; '.join(WITHOUT[name] for name in claims)}"
    if wanted:
        if wanted in names:
            return None
        return Problem(
            f"The cluster has no StorageClass {wanted}, which storageClass names; {there}.",
            f"make config ARGS='set storageClass NAME', {without}",
        )
    if any(is_default(each) for each in classes):
        return None
    plural = "s" if len(claims) > 1 else ""
    return Problem(
        f"The cluster has no default StorageClass for the claim{plural} {listing(claims)}; {there}.",
        f"name one: make config ARGS='set storageClass NAME', {without}",
    )


def is_default(storage_class: Object) -> bool:
    """Return whether the cluster takes the class where none is named."""
    annotations = (storage_class.get("metadata") or {}).get("annotations") or {}
    return any(annotations.get(key) == "true" for key in DEFAULT_CLASS)


def ingress_problem(wanted: str, classes: Sequence[Object]) -> Problem | None:
    """Return that nobody would serve the stack's Ingress."""
    names = sorted(str(each["metadata"]["name"]) for each in classes)
    if not wanted or wanted in names:
        return None
    there = f"it has {listing(names)}" if names else "it has none"
    return Problem(
        f"The cluster has no IngressClass {wanted}, which ingressClass names; {there}.",
        "make config ARGS='set ingressClass NAME', or install an ingress controller",
    )


def stray_problem(stack: str, namespace: str, *, known: bool, running: Sequence[str], sweep: bool) -> Problem | None:
    """Return why strays are not swept away: they run, and this state has never known the stack."""
    if known or sweep or not running:
        return None
    return Problem(
        f"A stack {stack} runs in namespace {namespace}, and this state has never known it: {listing(running)}. "
        "It may be somebody's live site, put there from another state.",
        "use that state (XDG_STATE_HOME, or PULUMI_BACKEND_URL), or remove what runs there: "
        f"make up STACK={stack} SWEEP=yes (claims are kept)",
    )


def kind_problem(kind: Kind, *, served: bool) -> Problem | None:
    """Return that the cluster does not know a kind that a setting asks for."""
    if served or not kind.needs:
        return None
    return Problem(
        f"The cluster does not serve {kind.name} ({kind.api_version}), which {kind.needs} needs.",
        f"install what brings it, or leave that out: make config ARGS='rm {kind.needs}'",
    )
