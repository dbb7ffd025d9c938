"""Waits for what the cluster does with an object, as long as there is hope, and says why there is none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pulumi

from infra.platforms import logline
from infra.platforms.kubernetes import progress
from infra.platforms.kubernetes.cluster import asked
from infra.platforms.kubernetes.progress import Progress, Watched
from kubeapi import pods
from kubeapi.client import Client
from kubeapi.errors import ApiError, UnreachableError

POLL_SECONDS = 0.5
TELL_SECONDS = 10.0
AWAY_SECONDS = 30.0
"""How long an API server that answered before may be away: it is updated too."""
PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "Job": "jobs"}
GROUPS = {"Deployment": "apis/apps/v1", "StatefulSet": "apis/apps/v1", "Job": "apis/batch/v1"}
REVISION = "deployment.kubernetes.io/revision"
THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="waiting")
"""Apart from Pulumi's own: what waits must not keep a registration from being sent."""

Live = dict[str, Any]


class Hopeless(Exception):  # noqa: N818 - it is a finding, not a fault
    """What was waited for will not come; `pods` selects the pods that say more."""

    def __init__(self, why: str, labels: Mapping[str, str]) -> None:
        super().__init__(why)
        self.labels = labels


def path_of(kind: str, namespace: str, name: str) -> str:
    """Return where the API has an object."""
    return f"/{GROUPS[kind]}/namespaces/{quote(namespace, safe='')}/{PLURALS[kind]}/{quote(name, safe='')}"


async def until_done(client: Client, kind: str, namespace: str, name: str, ready_seconds: float) -> None:
    """Return once an object is done; raise Hopeless when it will not be, RunError when the cluster is away."""
    loop = asyncio.get_running_loop()
    watch = Watch(client, kind, namespace, name, ready_seconds)
    while not (seen := await loop.run_in_executor(THREADS, watch.look)).done:
        if watch.is_news(seen):
            pulumi.log.info(f"waiting for {kind} {name}: {seen.said}")
        await asyncio.sleep(POLL_SECONDS)


class Watch:
    """One object, looked at again and again."""

    def __init__(self, client: Client, kind: str, namespace: str, name: str, ready_seconds: float) -> None:
        self._client = client
        self._kind, self._namespace, self._name = kind, namespace, name
        self._watched = Watched(ready_seconds)
        self._since = self._reached = self._told = time.monotonic()
        self._best = -1
        self._said = ""
        self._heard: frozenset[str] | None = None

    def look(self) -> Progress:
        """Return how far the object is; raise as `until_done` does."""
        try:
            found = self._look()
        except UnreachableError as error:
            if time.monotonic() - self._reached > AWAY_SECONDS:
                raise pulumi.RunError(
                    f"the cluster at {self._client.access.server} has not answered for {AWAY_SECONDS:.0f} s while "
                    f"{self._kind} {self._name} was waited for: {error}. Once it does: pulumi up"
                ) from None
            return Progress(done=False, said=f"the cluster does not answer: {error}")
        self._reached = time.monotonic()
        return found

    def is_news(self, seen: Progress) -> bool:
        """Whether somebody who waits wants to hear this: something else than before, and not all the time."""
        now = time.monotonic()
        if seen.said == self._said or now - self._told < TELL_SECONDS:
            return False
        self._said, self._told = seen.said, now
        return True

    def _look(self) -> Progress:
        path = path_of(self._kind, self._namespace, self._name)
        try:
            live: Live = self._client.get(path)
        except ApiError as error:
            if error.gone:
                raise Hopeless("it was deleted while it was waited for", {}) from None
            live = asked(self._client, lambda: self._client.get(path))
        now = time.monotonic()
        seen = progress.of(live | {"kind": self._kind})
        if seen.done:
            return seen
        if seen.count > self._best:
            self._best, self._since = seen.count, now
        labels = self._labels(live)
        if seen.failed:
            raise Hopeless(seen.failed, labels)
        found = pods.list_pods(self._client, self._namespace, labels) if labels else []
        if why := self._watched.hopeless(found, now) or self._lacking(found):
            raise Hopeless(why, labels)
        blocked = progress.blocked(live) or ("" if found else self._refused(live, now))
        if blocked and now - self._since > progress.PATIENCE_SECONDS:
            raise Hopeless(blocked, labels)
        # A job that runs may run as long as it needs.
        if self._kind == "Job" and any(progress.has_started(pod) for pod in found):
            self._since = now
        if now - self._since > progress.START_SECONDS + self._watched.ready_seconds:
            old = "" if found else progress.refused(self._refusals(live))
            said = f"{seen.said}. {old}" if old else seen.said
            raise Hopeless(f"nothing new for {now - self._since:.0f} s: {said}", labels)
        return seen

    def _lacking(self, found: list[Live]) -> str:
        """Return what the image of one of these pods does not have."""
        probed = [pod for pod in found if progress.is_probed(pod)]
        if self._kind == "Job" or not probed:
            return ""
        return progress.lacking(probed, self._events("involvedObject.kind=Pod,reason=Unhealthy"))

    def _refused(self, live: Live, now: float) -> str:
        """Return why the cluster has made no pod since this was first looked at: a quota or a rule that refuses it."""
        if self._heard is None:
            self._heard = frozenset(progress.version(event) for event in self._refusals(live))
        if now - self._since <= progress.PATIENCE_SECONDS:
            return ""
        return progress.refused(self._refusals(live), self._heard)

    def _refusals(self, live: Live) -> list[Live]:
        """Return what was said of pods of a StatefulSet or a Job that were not made; a Deployment says so itself."""
        if self._kind == "Deployment":
            return []
        return self._events(f"involvedObject.uid={live['metadata']['uid']},reason=FailedCreate")

    def _events(self, chosen: str) -> list[Live]:
        """Return events of the namespace, none to a user who may not read them."""
        path = f"/api/v1/namespaces/{quote(self._namespace, safe='')}/events"
        try:
            items: list[Live] = self._client.get(path, {"fieldSelector": chosen})["items"]
        except (ApiError, UnreachableError):
            return []
        return items

    def _labels(self, live: Live) -> dict[str, str]:
        """Return the labels of the pods of this very version, or nothing while the controller has not made it."""
        selected = dict((live["spec"].get("selector") or {}).get("matchLabels") or {})
        if self._kind == "Job":
            return selected
        if not progress.is_seen(live):
            return {}
        if self._kind == "StatefulSet":
            revision = (live.get("status") or {}).get("updateRevision")
            return selected | {"controller-revision-hash": revision} if revision else {}
        wanted = (live["metadata"].get("annotations") or {}).get(REVISION)
        for each in self._replica_sets(selected):
            if (each["metadata"].get("annotations") or {}).get(REVISION) == wanted:
                return selected | {"pod-template-hash": each["metadata"]["labels"]["pod-template-hash"]}
        return {}

    def _replica_sets(self, selected: Mapping[str, str]) -> list[Live]:
        selector = ",".join(f"{key}={value}" for key, value in selected.items())
        path = f"/apis/apps/v1/namespaces/{quote(self._namespace, safe='')}/replicasets"
        items: list[Live] = self._client.get(path, {"labelSelector": selector})["items"]
        return items


def told(client: Client, namespace: str, labels: Mapping[str, str]) -> str:
    """Return what the pods say: each with its reason, and the last lines of its log as a person reads them."""
    found = pods.reasons(client, namespace, labels, logline.LAST_LINES) if labels else []
    return "".join(f"\n  {one(trouble)}" for trouble in found)


def one(trouble: pods.PodTrouble) -> str:
    """Return one pod's trouble with its last lines."""
    where = f"pod {trouble.pod}" + (f", container {trouble.container}" if trouble.container else "")
    said = ": ".join(part for part in (where, trouble.reason, trouble.message) if part)
    return (
        f"{said}. Its last lines:\n{logline.last_lines(chr(10).join(trouble.last_lines))}"
        if trouble.last_lines
        else said
    )
