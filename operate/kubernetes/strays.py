"""The stack's objects that its state does not know: what a killed run left, or what another state made."""

from __future__ import annotations

from operate.kubernetes.cluster import Cluster, Object, name_of, reached
from operate.kubernetes.kinds import CLAIM, DEPLOYMENT, KINDS, STATEFUL_SET, Kind
from operate.request import Request
from operate.stack import Stack
from setup.state import Known

BACKGROUND = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}


def running(cluster: Cluster) -> list[str]:
    """Return the workloads that have pods which are ready."""
    return [
        f"{kind.name} {name_of(each)}"
        for kind in (DEPLOYMENT, STATEFUL_SET)
        for each in cluster.objects(kind)
        if (each.get("status") or {}).get("readyReplicas")
    ]


def note_claims(request: Request, cluster: Cluster, known: Known) -> None:
    """Say which claims are there and not in the state; an update takes them over, and nothing here removes them."""
    names = [name_of(each) for each in unknown(cluster, known, (CLAIM,))]
    if names:
        request.terminal.note(
            f"kept: the claim{'s' if len(names) > 1 else ''} {', '.join(names)}, which the state does not know. "
            "Data in there is taken over as it is; to begin empty: "
            f"kubectl delete --namespace {cluster.namespace} pvc {' '.join(names)}"
        )


def settle(request: Request, stack: Stack) -> None:
    """Remove strays after an update: whatever it wanted is in the state by now, also what it found and took up."""
    known = stack.known()
    with reached(request) as cluster:
        # A state that cannot be read knows nothing, and would make strays of a whole site.
        if ("Namespace", cluster.namespace) in known.objects:
            sweep(request, cluster, known)


def sweep(request: Request, cluster: Cluster, known: Known) -> None:
    """Remove what the state does not know, and say each; claims are left alone."""
    for kind in KINDS:
        for each in unknown(cluster, known, (kind,)):
            name = name_of(each)
            remove(cluster, kind, name)
            request.terminal.note(f"removed the {kind.name} {name}, which the state does not know")


def unknown(cluster: Cluster, known: Known, kinds: tuple[Kind, ...]) -> list[Object]:
    """Return the stack's objects of some kinds that the state does not know; what others made of them is theirs."""
    return [
        each
        for kind in kinds
        for each in cluster.objects(kind)
        if not each["metadata"].get("ownerReferences")
        and (kind.name, f"{cluster.namespace}/{name_of(each)}") not in known.objects
    ]


def remove(cluster: Cluster, kind: Kind, name: str) -> None:
    """Remove an object; one that is gone already is fine."""
    path = kind.item(cluster.namespace, name)
    if cluster.found(path) is not None:
        cluster.client.delete(path, BACKGROUND)
