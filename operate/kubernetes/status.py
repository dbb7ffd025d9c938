"""The stack's workloads, the pods that are unwell, its addresses and claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kubeapi.pods import troubles
from operate.about import about_state
from operate.kubernetes.cluster import RELEASE, SERVICE, Cluster, Object, label_of, name_of, reached
from operate.kubernetes.kinds import CLAIM, INGRESS, JOB, ROUTE, WAITS
from operate.kubernetes.kinds import DEPLOYMENT as DEPLOYMENTS
from operate.kubernetes.kinds import SERVICE as SERVICES
from operate.kubernetes.kinds import STATEFUL_SET as STATEFUL_SETS
from operate.request import Request
from operate.table import columns


@dataclass(frozen=True)
class Row:
    """One workload: what it is for, its name, how it is in words, whether that is well, and its release."""

    service: str
    name: str
    words: str
    well: bool
    release: str


def run(request: Request) -> int:
    """Print how the stack is; exit 1 when something does not run or is unwell."""
    with reached(request) as cluster:
        rows = rows_of(cluster)
        pods = cluster.pods()
        ways = addresses(cluster)
        claims = [said_of_claim(each) for each in cluster.objects(CLAIM)]
    say = request.terminal.say
    say(request.terminal.bold(f"stack {request.stack} in namespace {cluster.namespace}"))
    for line in columns([(row.service or "-", row.name, row.words, row.release) for row in rows]):
        say(f"  {line}")
    if not rows:
        say(f"  nothing runs; make up STACK={request.stack} starts it")
    for trouble in unwell(pods, rows):
        say(f"  {trouble}")
    say(f"reached  {', '.join(ways) or 'from inside the cluster alone'}")
    say(f"claims   {', '.join(claims) or 'none'}")
    for line in about_state(request):
        say(line)
    return 0 if rows and all(row.well for row in rows) else 1


def rows_of(cluster: Cluster) -> list[Row]:
    """Return a row for each workload and job."""
    running = [
        row_of(each)
        for kind in (DEPLOYMENTS, STATEFUL_SETS)
        for each in cluster.objects(kind)
        if name_of(each) != WAITS or each["spec"].get("replicas")
    ]
    return sorted([*running, *map(row_of_job, cluster.objects(JOB))], key=lambda row: row.name)


def row_of(found: Object) -> Row:
    """Return how a workload is: stopped, rolling out, or with how many of its pods ready."""
    wanted, status = int(found["spec"].get("replicas", 1)), found.get("status") or {}
    ready, updated = int(status.get("readyReplicas") or 0), int(status.get("updatedReplicas") or 0)
    seen = int(status.get("observedGeneration") or 0) >= int(found["metadata"].get("generation") or 0)
    moving = not seen or updated < wanted or int(status.get("replicas") or 0) > wanted
    words = f"{min(ready, wanted)} of {wanted} ready" + (", rolling out" if moving else "")
    if not wanted:
        words = "stopping" if ready else "stopped"
    return Row(
        label_of(found, SERVICE), name_of(found), words, wanted > 0 and ready >= wanted, label_of(found, RELEASE)
    )


def row_of_job(found: Object) -> Row:
    """Return how a job went."""
    status = found.get("status") or {}
    ended = {row["type"]: row for row in status.get("conditions") or [] if row.get("status") == "True"}
    words = "done" if "Complete" in ended else "failed" if "Failed" in ended else "runs"
    return Row(label_of(found, SERVICE), name_of(found), words, words != "failed", label_of(found, RELEASE))


def unwell(pods: Sequence[Object], rows: Sequence[Row]) -> list[str]:
    """Return what keeps pods from being ready; those on their way out and those of a job that is done need not be."""
    done = {row.service for row in rows if row.words == "done"}
    return [
        str(trouble)
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"] and label_of(pod, SERVICE) not in done
        for trouble in troubles(pod)
    ]


def addresses(cluster: Cluster) -> list[str]:
    """Return where the stack is reached from outside the cluster."""
    return [
        way
        for kind, read in ((SERVICES, ways_of_service), (INGRESS, hosts_of_ingress), (ROUTE, hosts_of_route))
        for found in cluster.objects(kind)
        for way in read(found)
    ]


def ways_of_service(found: Object) -> list[str]:
    """Return the ports on nodes and the addresses of a Service; none for one that is for callers inside."""
    spec, balancer = found["spec"], (found.get("status") or {}).get("loadBalancer") or {}
    nodes = [f"port {port['nodePort']} of every node" for port in spec.get("ports") or [] if port.get("nodePort")]
    if spec.get("type") == "NodePort":
        return nodes
    if spec.get("type") != "LoadBalancer":
        return []
    given = [str(each.get("hostname") or each.get("ip")) for each in balancer.get("ingress") or []]
    return given or ["a load balancer that has no address yet"]


def hosts_of_ingress(found: Object) -> list[str]:
    """Return the hosts of an Ingress, and the addresses that it was given."""
    hosts = [str(rule.get("host") or "any host") for rule in found["spec"].get("rules") or []]
    balancer = (found.get("status") or {}).get("loadBalancer") or {}
    given = [str(each.get("hostname") or each.get("ip")) for each in balancer.get("ingress") or []]
    at = f" at {', '.join(given)}" if given else ", which has no address yet"
    return [f"{host} by Ingress {name_of(found)}{at}" for host in hosts]


def hosts_of_route(found: Object) -> list[str]:
    """Return the hosts of an HTTPRoute."""
    parents = [str(parent["name"]) for parent in found["spec"].get("parentRefs") or []]
    return [f"{host} by Gateway {', '.join(parents)}" for host in found["spec"].get("hostnames") or []]


def said_of_claim(found: Object) -> str:
    """Return a claim with its size and whether it is bound."""
    status = found.get("status") or {}
    size = (status.get("capacity") or {}).get("storage") or found["spec"]["resources"]["requests"]["storage"]
    return f"{name_of(found)} ({size}, {str(status.get('phase') or 'unknown').lower()})"
