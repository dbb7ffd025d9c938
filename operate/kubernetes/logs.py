"""What the stack's pods say, each line with the pod that it comes from."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from kubeapi import pods, watch
from kubeapi.access import KubeconfigError
from kubeapi.errors import ApiError, UnreachableError
from operate.kubernetes.cluster import SERVICE, Cluster, Object, label_of, name_of, reached
from operate.lines import Wanted, no_such_service, wanted_by
from operate.request import Request
from setup.problem import Problem


@dataclass(frozen=True)
class Source:
    """One life of a container: its pod, its name, and how often it has been started again."""

    pod: str
    container: str
    life: int = 0


@dataclass
class Readers:
    """Threads that read sources side by side, and the one queue of what they read."""

    cluster: Cluster
    wanted: Wanted
    lines: queue.SimpleQueue[str | Exception | None] = field(default_factory=queue.SimpleQueue)
    known: set[Source] = field(default_factory=set)

    def read(self, source: Source, count: int) -> bool:
        """Begin to read a source, and return whether that is new."""
        if source in self.known:
            return False
        self.known.add(source)
        threading.Thread(target=self._read, args=(source, count), daemon=True).start()
        return True

    def _read(self, source: Source, count: int) -> None:
        client, namespace = self.cluster.client, self.cluster.namespace
        try:
            if self.wanted.follow:
                with pods.followed_log(client, namespace, source.pod, source.container, count) as written:
                    for line in written:
                        self.lines.put(f"{source.pod} | {line}")
            else:
                for line in pods.log(client, namespace, source.pod, source.container, count).splitlines():
                    self.lines.put(f"{source.pod} | {line}")
        except (ApiError, UnreachableError) as error:
            self.lines.put(f"{source.pod} | (cannot be read: {error})")
        finally:
            self.lines.put(None)


def run(request: Request) -> int:
    """Print the last lines of every pod or of one service's; following takes in pods that come, until Ctrl-C."""
    wanted = wanted_by(request)
    with reached(request) as cluster:
        everything = cluster.pods()
        if not everything and not wanted.follow:
            raise Problem(
                f"There are no pods of the stack {request.stack} in namespace {cluster.namespace}.",
                f"make up STACK={request.stack} starts it",
            )
        if not wanted.follow and not chosen(everything, wanted.service):
            raise no_such_service(request.stack, wanted.service, {label_of(pod, SERVICE) for pod in everything})
        readers = Readers(cluster, wanted)
        for line in followed(readers) if wanted.follow else last(readers, everything):
            request.terminal.say(line)
    return 0


def chosen(found: list[Object], service: str) -> list[Object]:
    """Return the pods of a service, or the one of that name; all of them where none is named."""
    return [pod for pod in found if service in ("", label_of(pod, SERVICE), name_of(pod))]


def sources(pod: Object) -> Iterator[tuple[Source, str]]:
    """Yield each container of a pod, with why it has nothing to say yet, empty where it has begun."""
    status = pod.get("status") or {}
    for row in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        source = Source(name_of(pod), str(row["name"]), int(row.get("restartCount") or 0))
        state = row.get("state") or {}
        why = str((state["waiting"] or {}).get("reason") or "waiting") if "waiting" in state else ""
        yield source, "" if source.life else why


def last(readers: Readers, everything: list[Object]) -> Iterator[str]:
    """Yield the last lines of each container, and for one that has not begun why."""
    reading = 0
    for pod in chosen(everything, readers.wanted.service):
        begun = list(sources(pod))
        if not begun:
            yield f"{name_of(pod)} | (has not begun: {(pod.get('status') or {}).get('phase', 'unknown')})"
        for source, why in begun:
            if why:
                yield f"{source.pod} | (has not begun: {why})"
            else:
                reading += readers.read(source, readers.wanted.lines)
    while reading:
        line = readers.lines.get()
        if line is None:
            reading -= 1
        else:
            yield str(line)


def followed(readers: Readers) -> Iterator[str]:
    """Yield lines as they are written, also of pods that come and of containers that start again."""
    threading.Thread(target=partial(notice, readers), daemon=True).start()
    while True:
        line = readers.lines.get()
        if isinstance(line, Exception):
            raise line
        if line is not None:
            yield line


def notice(readers: Readers) -> None:
    """Begin to read each container once it has begun; those that come later are read from their first line."""
    cluster, count = readers.cluster, readers.wanted.lines
    path = f"/api/v1/namespaces/{cluster.namespace}/pods"
    every = 1 << 30
    try:
        for found in watch.states(cluster.client, path, {"labelSelector": cluster.selector}, lambda: False):
            for pod in chosen(list(found.values()), readers.wanted.service):
                for source, why in sources(pod):
                    if not why:
                        readers.read(source, count)
            count = every
    except (ApiError, UnreachableError, KubeconfigError) as error:
        readers.lines.put(error)
