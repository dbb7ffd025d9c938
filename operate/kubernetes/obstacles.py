"""What stands in the way of an update on the cluster: asked here, judged by `preflight`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kubeapi.errors import FORBIDDEN, ApiError
from operate import stack as stacks
from operate.kubernetes import preflight, strays
from operate.kubernetes.cluster import Cluster, Object, labels, name_of, namespace_of, reached
from operate.kubernetes.kinds import CLAIM, KINDS
from operate.kubernetes.preflight import Ask
from operate.request import Request
from setup import daemon, registry, state
from setup.daemon import Daemon
from setup.preflight import is_set
from setup.problem import Problem

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
INGRESS_CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
AT_ONCE = 8


def of_stack(request: Request) -> list[Problem]:
    """Return what stands in the way, on the cluster and at the registry; nothing is changed."""
    found = preflight.name_problem(request.stack, namespace_of(request.stack))
    if found:
        return [found]
    try:
        with reached(request) as cluster:
            return [*on_cluster(request, cluster), *at_registry(request)]
    except Problem as problem:
        return [problem, *at_registry(request)]


def on_cluster(request: Request, cluster: Cluster) -> list[Problem]:
    """Return what stands in the way on a cluster that answers."""
    told = cluster.client.get("/version")
    old = preflight.version_problem(str(told.get("major", "")), str(told.get("minor", "")))
    if old:
        return [old]
    namespace = cluster.seen(f"/api/v1/namespaces/{cluster.namespace}")
    context = cluster.client.access.context
    theirs = preflight.namespace_problem(namespace, cluster.namespace, labels(request.stack), request.stack)
    wanted = preflight.asks(set_here(request), namespace_is_there=namespace is not None)
    refused = preflight.rights_problem(refused_of(cluster, wanted), cluster.namespace, context)
    if theirs or refused:
        return [problem for problem in (theirs, refused) if problem]
    found = [of_other_cluster(request, cluster), *of_settings(request, cluster)]
    if stacks.is_local(request.environment, request.places):
        known = state.read(request.places.backend, request.stack)
        running = strays.running(cluster) if not known.resources else []
        found.append(
            preflight.stray_problem(
                request.stack, cluster.namespace, known=bool(known.resources or known.pending),
                running=running, sweep=request.says_yes("SWEEP"),
            )
        )  # fmt: skip
    return [problem for problem in found if problem]


def set_here(request: Request) -> frozenset[str]:
    """Return the settings that ask for kinds of their own."""
    named = {key for key in ("ingressClass", "gatewayParent") if request.setting(key)}
    scaling = (request.setting("maxReplicas") or "0") != "0"
    return frozenset(named | ({"maxReplicas"} if scaling else set()))


def refused_of(cluster: Cluster, wanted: Sequence[Ask]) -> list[Ask]:
    """Return those of the rights that this user does not have."""
    if not any(refused(cluster, each) for each in (("*", "*", "*"), ("create", "", "namespaces"))):
        return []
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        answers = list(pool.map(lambda each: refused(cluster, each), wanted))
    return [each for each, no in zip(wanted, answers, strict=True) if no]


def refused(cluster: Cluster, ask: Ask) -> bool:
    """Return whether this user may not do one thing in the stack's namespace."""
    verb, group, resource = ask
    name, _, part = resource.partition("/")
    # Making a namespace happens in none.
    within = "" if ask == ("create", "", "namespaces") else cluster.namespace
    attributes = {"verb": verb, "group": group, "resource": name, "subresource": part, "namespace": within}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    return not cluster.client.post(REVIEWS, review)["status"].get("allowed", False)


def of_other_cluster(request: Request, cluster: Cluster) -> Problem | None:
    """Return that the stack is on another cluster than the one that the kubeconfig leads to now."""
    if not stacks.is_local(request.environment, request.places):
        return None
    before = state.provider_inputs(request.places.backend, request.stack, "kubernetes").get("clusterIdentifier", "")
    system = cluster.seen("/api/v1/namespaces/kube-system")
    now = str((system or {}).get("metadata", {}).get("uid", ""))
    return preflight.moved_problem(request.stack, str(before), now, cluster.client.access.server)


def of_settings(request: Request, cluster: Cluster) -> list[Problem | None]:
    """Return what the settings name and the cluster does not have, or somebody else has."""
    wanted = set_here(request)
    found = [
        preflight.kind_problem(kind, served=serves(cluster, kind.api_version, kind.plural))
        for kind in KINDS
        if kind.needs in wanted
    ]
    missing = claims_missing(request, cluster)
    classes = listed(cluster, CLASSES) if missing else None
    if classes is not None:
        found.append(preflight.storage_problem(request.setting("storageClass") or "", classes, missing))
    ingress = listed(cluster, INGRESS_CLASSES) if "ingressClass" in wanted else None
    if ingress is not None:
        found.append(preflight.ingress_problem(request.setting("ingressClass") or "", ingress))
    port = request.setting("nodePort") or ""
    services = listed(cluster, "/api/v1/services") if port.isdigit() and port != "0" else None
    if services is not None:
        found.append(preflight.node_port_problem(int(port), services, cluster.namespace))
    return found


def claims_missing(request: Request, cluster: Cluster) -> list[str]:
    """Return the claims that an update would make."""
    managed, admin, loader = (
        is_set(key, *request.stack_texts()) for key in ("databaseUrl", "restoreAdminUrl", "restoreLoaderUrl")
    )
    wanted = preflight.claims_wanted(
        managed=managed,
        archive=(request.setting("pitr") or "false") == "true" and not managed,
        backups=(request.setting("backups") or "true") == "true",
        # Beside a managed database only with the roles for it.
        restores=(request.setting("restores") or "true") == "true" and (not managed or (admin and loader)),
    )
    there = [name_of(each) for each in cluster.objects(CLAIM)]
    # The database moves to another of its claims when it goes back to a moment.
    return [name for name in wanted if not any(each == name or each.startswith(f"{name}-") for each in there)]


def serves(cluster: Cluster, api_version: str, plural: str) -> bool:
    """Return whether the cluster knows a kind."""
    answer = cluster.found(f"/apis/{api_version}") or {}
    return any(row.get("name") == plural for row in answer.get("resources") or [])


def listed(cluster: Cluster, path: str) -> list[Object] | None:
    """Return objects from all over the cluster, or None for a user who may not see them."""
    try:
        items: list[Object] = cluster.client.get(path).get("items") or []
    except ApiError as error:
        if error.status in (FORBIDDEN, 404):
            return None
        raise
    return items


def at_registry(request: Request) -> list[Problem]:
    """Return why images cannot be pushed; a daemon elsewhere is not looked over the shoulder."""
    address = request.setting("imageRegistry")
    endpoint = daemon.endpoint_from(request.docker_environment())
    if not address or not endpoint.socket:
        return []
    folder = Path(request.environment.get("DOCKER_CONFIG") or Path.home() / ".docker")
    user = bool(request.setting("imageRegistryUser")) or registry.logged_in(registry.host_of(address), folder)
    found = registry.problem(address, registry.ask(address, Daemon(endpoint)), user=user, stack=request.stack)
    return [found] if found else []
