"""The switchboard on Kubernetes: scales Deployments by their `scale` subresource, and counts the pods that are left."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from restore import cluster, switchboard, tail
from restore.cluster import Cluster
from restore.switchboard import Ended, SwitchboardError, Unit

MIGRATION = "migrate-for-restore"
RELEASE = "app.kubernetes.io/version"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,251}[a-z0-9])?")
POLL_SECONDS = 0.5
SPARE_SECONDS = 60.0
"""What a call may take beyond its timeout: an API server, and the controllers behind it, are updated too."""
LEAVE_SECONDS = 120.0
"""How long the pods of a migration may take to go."""
ENDED = frozenset({"Succeeded", "Failed"})
STARTING = frozenset({"ContainerCreating", "PodInitializing"})
STATES = ("state", "lastState")

T = TypeVar("T")

Live = Mapping[str, Any]


def connected(environ: Mapping[str, str]) -> KubernetesSwitchboard:
    """Return the switchboard of the cluster that this pod is in; raise StopError where it does not say."""
    return KubernetesSwitchboard(cluster.found(environ))


class KubernetesSwitchboard:
    """Deployments of the stack's namespace, each with its pods; every name is a Deployment's."""

    def __init__(self, within: Cluster, spare_seconds: float = SPARE_SECONDS) -> None:
        self.cluster = within
        self.spare_seconds = spare_seconds

    def resolve(self, names: Sequence[str]) -> list[Unit]:
        """Return the Deployments with the names, absent ones among them."""
        return [self._patiently(self._look, name) for name in dict.fromkeys(names)]

    def state(self, unit: Unit) -> Unit:
        """Return what a Deployment is now."""
        return self._patiently(self._look, unit.name)

    def stop(self, unit: Unit, timeout: float) -> None:
        """Scale a Deployment to nothing and return once no pod of it runs, which takes as long as its pods may.

        No pod is ended by force: one on a node that has gone silent may run still.
        """
        self._bring(unit.name, 0, timeout)

    def start(self, unit: Unit, timeout: float) -> None:
        """Scale a Deployment to what it was, or to one pod, and return once they run."""
        self._bring(unit.name, max(1, unit.replicas), timeout)

    def run_migration(self, release: str, timeout: float) -> Ended:
        """Scale the Deployment with the release's migrations up until they have ended, and down again.

        Its pod is ready when they are done; a container that ended with something else than 0 is one that failed.
        """
        found = self._patiently(self.cluster.get, self._path(MIGRATION)) or {}
        of = (found.get("metadata", {}).get("labels") or {}).get(RELEASE)
        if of != release:
            has = f"is of release {of}" if found else "does not exist"
            raise SwitchboardError(
                f"Deployment {MIGRATION} {has}, wanted release {release}", "`make up` makes it anew", transient=False
            )
        # What a killed run left says nothing about the database as it is now.
        self._bring(MIGRATION, 0, LEAVE_SECONDS)
        try:
            self._patiently(self._scale, MIGRATION, 1)
            return self._migrated(timeout)
        finally:
            self._bring(MIGRATION, 0, LEAVE_SECONDS)

    def _migrated(self, timeout: float) -> Ended:
        deadline = time.monotonic() + timeout
        while True:
            pods = self._patiently(self._pods_of, MIGRATION)
            for pod in pods:
                if ended := ended_of(pod):
                    return ended
            if time.monotonic() > deadline:
                raise SwitchboardError(
                    f"Deployment {MIGRATION} was not done within {timeout:.0f} s{first_of(pods)}",
                    "It has been stopped; its pod's log, where logs are kept, says how far it came",
                    transient=False,
                )
            time.sleep(POLL_SECONDS)

    def _bring(self, name: str, replicas: int, timeout: float) -> None:
        """Scale a Deployment and return once its pods are so; raise SwitchboardError when it does not come to that."""
        deadline = time.monotonic() + timeout + self.spare_seconds
        while True:
            scale = self._patiently(self._scale, name)
            if scale is None:
                if not replicas:
                    return
                raise SwitchboardError(f"Deployment {name} does not exist", "`make up` makes it", transient=False)
            pods: list[dict[str, Any]] = []
            # Each time: an update or a person may want it otherwise meanwhile.
            if wanted(scale) != replicas:
                self._patiently(self._scale, name, replicas)
            else:
                pods = self._patiently(self._pods, scale)
                if are_so(pods, replicas):
                    return
            # Pods that are being ended may take the time that they were promised.
            if time.monotonic() > deadline + max([0.0, *map(promised, pods)]):
                raise SwitchboardError(
                    f"Deployment {name} was scaled to {replicas} and has {len(pods)} pods{first_of(pods)}",
                    f"Look at them: kubectl --namespace {self.cluster.namespace} get pods --output=wide",
                    transient=False,
                )
            time.sleep(POLL_SECONDS)

    def _look(self, name: str) -> Unit:
        scale = self._scale(name)
        if scale is None:
            return Unit(name, switchboard.ABSENT)
        return unit_of(name, wanted(scale), self._pods(scale))

    def _scale(self, name: str, replicas: int | None = None) -> dict[str, Any] | None:
        """Return how a Deployment is scaled, or scale it; None where there is none."""
        path = f"{self._path(name)}/scale"
        return (
            self.cluster.get(path) if replicas is None else self.cluster.patch(path, {"spec": {"replicas": replicas}})
        )

    def _pods_of(self, name: str) -> list[dict[str, Any]]:
        scale = self._scale(name)
        return self._pods(scale) if scale else []

    def _pods(self, scale: Live) -> list[dict[str, Any]]:
        """Return a Deployment's pods that have not ended, those that are being ended among them.

        One that has ended is still listed for a moment: the node says so before it lets go of it.
        """
        selector = str((scale.get("status") or {}).get("selector") or "")
        if not selector:
            # Without one, every pod of the namespace would be meant.
            raise SwitchboardError("the cluster says no selector of pods", "Look at the Deployment", transient=False)
        namespace = quote(self.cluster.namespace, safe="")
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector={quote(selector, safe='')}"
        items = (self.cluster.get(path) or {}).get("items") or []
        return [pod for pod in items if (pod.get("status") or {}).get("phase") not in ENDED]

    def _path(self, name: str) -> str:
        if not NAME.fullmatch(name):
            raise SwitchboardError(f"{name[:80]!r} is no name of a Deployment", "Correct the setting", transient=False)
        return f"/apis/apps/v1/namespaces/{quote(self.cluster.namespace, safe='')}/deployments/{name}"

    def _patiently(self, ask: Callable[..., T], *arguments: Any) -> T:
        """Return an answer; ask again for as long as that may help."""
        deadline = time.monotonic() + self.spare_seconds
        while True:
            try:
                return ask(*arguments)
            except SwitchboardError as error:
                if not error.transient or time.monotonic() + POLL_SECONDS > deadline:
                    raise
            time.sleep(POLL_SECONDS)


def wanted(scale: Live) -> int:
    """Return how many pods a Deployment is to have; none is left out of what the cluster says."""
    return int((scale.get("spec") or {}).get("replicas") or 0)


def leaves(pod: Live) -> bool:
    """Whether a pod is being ended."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_ready(pod: Live) -> bool:
    """Whether a pod answers its readiness probe."""
    conditions = pod["status"].get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def are_so(pods: Sequence[Live], replicas: int) -> bool:
    """Whether no pod is left, or as many as wanted run."""
    if not replicas:
        return not pods
    running = [pod for pod in pods if not leaves(pod) and pod["status"].get("phase") == "Running"]
    return len(running) >= replicas


def promised(pod: Live) -> float:
    """Return how long a pod that is being ended may take."""
    return float(pod["spec"].get("terminationGracePeriodSeconds") or 0) if leaves(pod) else 0.0


def unit_of(name: str, replicas: int, pods: Sequence[Live]) -> Unit:
    """Return a Deployment as a unit."""
    if not replicas:
        return Unit(name, switchboard.RUNNING, switchboard.STOPPING) if pods else Unit(name, switchboard.STOPPED)
    staying = [pod for pod in pods if not leaves(pod)]
    if sum(map(is_ready, staying)) >= replicas:
        detail = switchboard.HEALTHY
    else:
        failed = any(waits(row) for pod in staying for row in statuses(pod))
        detail = switchboard.UNHEALTHY if failed else switchboard.STARTING
    return Unit(name, switchboard.RUNNING, detail, replicas)


def statuses(pod: Live) -> list[Live]:
    """Return what a pod tells of its containers."""
    status = pod["status"]
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def waits(row: Live) -> str:
    """Return why a container does not run, where that is no matter of a moment."""
    reason = str(((row.get("state") or {}).get("waiting") or {}).get("reason", ""))
    return "" if reason in STARTING else reason


def ended_of(pod: Live) -> Ended | None:
    """Return how a migration's pod has ended, None while it has not."""
    if leaves(pod):
        return None
    rows = statuses(pod)
    ended = [state["terminated"] for row in rows for key in STATES if "terminated" in (state := row.get(key) or {})]
    if is_ready(pod):
        return Ended(0, tail.last("\n".join(str(each.get("message") or "") for each in ended)))
    for each in ended:
        if status := int(each["exitCode"]):
            return Ended(status, tail.last(str(each.get("message") or "")))
    return None


def first_of(pods: Sequence[Live]) -> str:
    """Return what a message says about the first of some pods."""
    if not pods:
        return ""
    pod = pods[0]
    state = "is being ended" if leaves(pod) else str(pod["status"].get("phase", "Pending"))
    reasons = [state, *filter(None, map(waits, statuses(pod)))]
    return f"; {pod['metadata']['name']} on {pod['spec'].get('nodeName') or 'no node'}: {', '.join(reasons)}"
