"""A maintenance on Kubernetes: one ConfigMap says so, and every gateway pod reads it where it is mounted."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial

from kubeapi.client import MERGE_PATCH
from kubeapi.errors import FORBIDDEN, ApiError, UnreachableError
from operate.flag import Flag, Order, flag_from
from operate.kubernetes.cluster import SERVICE, Cluster, Object, label_of, name_of, patiently, reached
from operate.kubernetes.kinds import Kind
from operate.request import Request
from setup.problem import Problem
from setup.terminal import Step

GATEWAY = "gateway"
PORT = 8080
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
NAME = f"{GATEWAY}-flag"
ENTRY = "maintenance.json"
TOUCHED = "scaffold/maintenance-told"
ASKED = "gateway/maintenance"
POLL_SECONDS = 0.25
TOUCH_SECONDS = 2.0
LONGEST_SECONDS = 180.0
OFF = "off"


def run(request: Request, order: Order) -> Flag | None:
    """Do what was ordered; return the maintenance that is on then, and raise Problem where it cannot be done."""
    with reached(request) as cluster:
        if order.look:
            on = known(cluster, request.stack)
            say_who_differs(request, cluster, on)
            return on
        config_map(cluster, request.stack)
        if order.flag and not any(is_ready(pod) for pod in gateways(cluster)):
            raise Problem(
                f"No gateway of the stack {request.stack} is ready; nothing was changed.",
                f"make up STACK={request.stack} starts it",
            )
        # Ended twice, it is told and waited for twice: the first time may have been cut off.
        tell(cluster, order.flag)
        with request.terminal.step("maintenance", "told to the cluster") as step:
            wait(request, cluster, order.flag, step)
    return order.flag


def config_map(cluster: Cluster, stack: str) -> Object:
    """Return the ConfigMap; raise Problem where there is none."""
    found = cluster.found(CONFIG_MAP.item(cluster.namespace, NAME))
    if found is None:
        raise Problem(
            f"The stack {stack} has no ConfigMap {NAME} in namespace {cluster.namespace}: it does not run, or is of an "
            "earlier version.",
            f"make up STACK={stack} makes it",
        )
    return found


def known(cluster: Cluster, stack: str) -> Flag | None:
    """Return the maintenance that the ConfigMap tells of; raise Problem where it cannot be understood."""
    said = (config_map(cluster, stack).get("data") or {}).get(ENTRY)
    try:
        return flag_from(json.loads(said)) if said else None
    except (ValueError, KeyError, TypeError):
        # Somebody's own words; the gateways refuse them and stay as they were.
        raise Problem(
            f"The ConfigMap {NAME} in namespace {cluster.namespace} holds a maintenance that nobody understands.",
            f"make maintenance ON STACK={stack} or make maintenance OFF STACK={stack} writes it anew",
        ) from None


def tell(cluster: Cluster, flag: Flag | None) -> None:
    """Write the ConfigMap; the one entry that counts, and no other."""
    entry = json.dumps(flag.document(), sort_keys=True) + "\n" if flag else None
    path = CONFIG_MAP.item(cluster.namespace, NAME)
    cluster.client.patch(path, {"data": {ENTRY: entry}}, MERGE_PATCH)


def gateways(cluster: Cluster) -> list[Object]:
    """Return the gateways' pods that have not come to their end."""
    return [pod for pod in cluster.pods() if label_of(pod, SERVICE) == GATEWAY and phase(pod) == "Running"]


def phase(pod: Object) -> str:
    """Return a pod's phase."""
    return str((pod.get("status") or {}).get("phase") or "")


def is_ready(pod: Object) -> bool:
    """Return whether visitors are sent to a pod."""
    rows = (pod.get("status") or {}).get("conditions") or []
    return any(row["type"] == "Ready" and row["status"] == "True" for row in rows)


def wanted_of(flag: Flag | None) -> str:
    """Return what a gateway says that does what the flag tells."""
    return f"on {flag.id}" if flag else OFF


def say_who_differs(request: Request, cluster: Cluster, flag: Flag | None) -> None:
    """Name the gateways that do something else than the ConfigMap tells, or cannot be asked."""
    for pod in gateways(cluster):
        said = ask(cluster, name_of(pod))
        if said != wanted_of(flag):
            request.terminal.say(f"pod {name_of(pod)} says: {said}")


def wait(request: Request, cluster: Cluster, flag: Flag | None, step: Step) -> None:
    """Wait until every gateway does what the flag tells; raise Problem with those that do not in time.

    A node looks at a mounted ConfigMap once a minute or so, and at once when its pod changes: an annotation is touched.
    """
    began = time.monotonic()
    touched = 0.0
    while True:
        pods = patiently(partial(gateways, cluster))
        said = {name_of(pod): ask(cluster, name_of(pod)) for pod in pods}
        missing = {name: words for name, words in said.items() if words != wanted_of(flag)}
        passed = time.monotonic() - began
        if not missing:
            step.outcome = f"{'on' if flag else 'off'} at {len(said)} gateway{'' if len(said) == 1 else 's'}"
            return
        step(f"{len(said) - len(missing)} of {len(said)} gateways know")
        if passed > LONGEST_SECONDS:
            raise Problem(
                f"The ConfigMap {NAME} tells it, but after {LONGEST_SECONDS:.0f} s not every gateway does it: "
                + "; ".join(f"{name} says {words}" for name, words in sorted(missing.items())),
                f"they follow by themselves where they run well; look again: make maintenance STACK={request.stack}",
            )
        if not touched or passed - touched > TOUCH_SECONDS:
            touched = passed or POLL_SECONDS
            touch(cluster, sorted(missing), f"{wanted_of(flag)} {touched:.0f}")
        time.sleep(POLL_SECONDS)


def touch(cluster: Cluster, names: Sequence[str], value: str) -> None:
    """Change an annotation of pods, so that their nodes look at what they mount; whoever may not do that waits."""
    for name in names:
        path = f"/api/v1/namespaces/{cluster.namespace}/pods/{name}"
        try:
            cluster.client.patch(path, {"metadata": {"annotations": {TOUCHED: value}}}, MERGE_PATCH)
        except ApiError as error:
            if error.status != FORBIDDEN and not error.gone:
                raise


def ask(cluster: Cluster, pod: str) -> str:
    """Return what a gateway says of the maintenance, or why it could not be asked."""
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}:{PORT}/proxy/{ASKED}"
    try:
        return cluster.client.text(path).strip()
    except ApiError as error:
        if error.status == FORBIDDEN:
            raise
        return f"nothing ({error})"
    except UnreachableError as error:
        return f"nothing ({error})"
