"""Brings a cluster up, from whatever is there; says each step."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cluster import (
    access,
    authority,
    commands,
    configuration,
    groups,
    images,
    journal,
    kernel,
    mounts,
    network,
    objects,
    process,
    programs,
    ready,
    root,
    traces,
)
from cluster.api import Api, Refused
from cluster.layout import RUNTIME, Layout, layout_of
from cluster.obstacles import obstacles, python_problem
from cluster.process import Process
from cluster.running import Running, reached
from cluster.shape import Shape
from setup.files import digest_of_files, private_folder, read_text_or_none, write_atomically
from setup.locks import Held, Holder, lock
from setup.places import Places
from setup.problem import Problem
from setup.terminal import Terminal

WAIT_SECONDS = 1800.0
POLL_SECONDS = 0.05
KERNEL = RUNTIME / "scaffold-clusters" / "kernel.json"
TRACES = RUNTIME / "scaffold-clusters" / "absent.json"


def start(shape: Shape, places: Places, environment: Mapping[str, str], terminal: Terminal) -> Running:
    """Start what does not run of the cluster and return how to reach it; raise Problem for what stands in the way.

    A cluster that is up is left as it is. One that was killed in part, or with the machine, goes on with its data. The
    programs are built by whoever calls this; the rest takes root, which sudo is asked for.
    """
    layout = layout_of(shape, places)
    programs.provide(layout, environment, places, terminal)
    if not root.is_root():
        root.hand_over("up", layout, places, environment)
        return reached(layout)
    with alone(layout, "starting", terminal):
        for problem in [python_problem(layout.python), *obstacles(layout)]:
            if problem:
                raise problem
        _processes(layout, terminal)
    return reached(layout)


@contextlib.contextmanager
def alone(layout: Layout, doing: str, terminal: Terminal) -> Iterator[None]:
    """Let one run at a time start or stop the cluster; raise Problem when another takes half an hour."""
    name = layout.shape.name

    def waiting(holder: Holder | None) -> None:
        terminal.say(f"  waiting for {holder or 'another run'}, which starts or stops this cluster already")

    try:
        with lock(layout.folder.parent / f"{name}.lock", f"{doing} the cluster {name}", WAIT_SECONDS, waiting):
            yield
    except Held as error:
        raise Problem(
            f"The cluster {name} has been worked on for half an hour by {error.holder or 'another run'}.",
            "see what it waits for, and run this again",
        ) from None


def _processes(layout: Layout, terminal: Terminal) -> None:
    began = time.monotonic()
    _passable(layout.folder)
    for folder in (layout.configuration, layout.logs, layout.store, layout.kubelet, layout.registry):
        private_folder(folder)
    # The pods' users go through these to their own volumes and logs.
    for folder in (layout.volumes, layout.container_logs, layout.images):
        folder.mkdir(parents=True, exist_ok=True)
    _passable(layout.runtime)
    write_atomically(layout.runtime / "owner", str(layout.folder).encode())
    _tidy(layout)
    kernel.remember(KERNEL)
    traces.remember(TRACES)
    authority.provide(layout.shape, layout.certificates)
    access.provide(layout)
    root.give_to_owner(layout.kubeconfig, layout.folder.parent.parent)
    resolver = configuration.resolver()
    settings = configuration.files(layout, network.mtu(), resolver)
    for name, text in settings.items():
        path = layout.configuration / name
        if read_text_or_none(path) != text:
            write_atomically(path, text.encode(), 0o600)
    journal.shorten_all(layout.logs)
    joined = groups.provide(layout.shape.cgroup)
    if network.provide(layout):
        # What still runs is in a network that has no way out any more.
        groups.end(layout.shape.cgroup, 10)
        mounts.release([layout.runtime])
    terminal.done("network", f"{layout.shape.network} by {layout.shape.node}", time.monotonic() - began)
    _Starter(layout, joined, settings).all(terminal)


class _Starter:
    """Starts the processes that do not run as they are wanted, in an order in which each finds what it needs."""

    def __init__(self, layout: Layout, joined: Sequence[Path], settings: Mapping[str, str]) -> None:
        self._layout = layout
        self._joined = joined
        self._certificates = digest_of_files(layout.certificates.glob("*.crt"), layout.certificates)
        self._settings = settings
        self.started: list[str] = []

    def all(self, terminal: Terminal) -> None:
        layout = self._layout
        api = Api(layout)
        with terminal.step("API", "starting etcd and the API server") as step:
            self._run(commands.store(layout))
            self._run(commands.runtime(layout))
            self._run(commands.api(layout))
            self._run(commands.registry(layout))
            self._until("containerd", lambda: ready.containerd(layout), 30)
            given = images.provide(layout)
            self._until("kube-apiserver", lambda: ready.api(api), 60)
            step.outcome = f"at https://127.0.0.1:{layout.shape.api_port}{self._told()}"
            step.outcome += f"; {given} images given to the runtime" if given else ""
        with terminal.step("node", "starting the node's programs and the controllers") as step:
            for found in objects.objects(layout):
                api.apply(found)
            self._run(commands.keeper(layout, keeper_sources(layout.repository)))
            self._until("keeper", lambda: ready.keeper(layout), 30)
            for command in (commands.controllers, commands.scheduler, commands.agent, commands.proxy, commands.storage):
                self._run(command(layout))
            self._until("kubelet", lambda: ready.node(api, layout), 60)
            step.outcome = f"{layout.shape.node} is ready{self._told()}"
        with terminal.step("services", "waiting for the cluster to answer for names") as step:
            self._until("kube-proxy", lambda: ready.names(layout), 60)
            self._until("docker-registry", lambda: ready.registry(layout), 30)
            step.outcome = f"names at {layout.shape.dns_address}, images at {layout.shape.registry}"

    def _run(self, wanted: Process) -> None:
        layout = self._layout
        made_from = self._made_from(wanted)
        record = process.record_of(layout.records, wanted.name)
        if record and record.alive and record.made_from == made_from:
            return
        if record:
            process.end(record, 10)
        log = layout.logs / f"{wanted.name}.log"
        process.start(wanted, layout.records, log, made_from, layout.namespace, self._joined)
        self.started.append(wanted.name)

    def _made_from(self, wanted: Process) -> str:
        program = Path(wanted.command[0])
        state = program.stat()
        read = [text for name, text in sorted(self._settings.items()) if any(name in word for word in wanted.command)]
        parts = [list(wanted.command), dict(wanted.environment), wanted.inputs, read, self._certificates,
                 state.st_mtime_ns, state.st_size]  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _until(self, name: str, there: Callable[[], bool], seconds: float) -> None:
        """Wait until something answers; raise Problem, with the end of its log, when it ends or does not in time."""
        log = self._layout.logs / f"{name}.log"
        deadline = time.monotonic() + seconds
        trouble = ""
        while True:
            try:
                if there():
                    return
            except (OSError, Refused) as error:
                trouble = f" ({error})"
            running = process.alive(self._layout.records, name)
            if not running or time.monotonic() > deadline:
                ending = f"did not get ready within {seconds:.0f} s{trouble}" if running else "ended"
                raise Problem(
                    f"{name} of the cluster {self._layout.shape.name} {ending}:\n{journal.last_lines(log)}",
                    f"see {log}; once that is mended, run this again: it goes on from here",
                )
            time.sleep(POLL_SECONDS)

    def _told(self) -> str:
        found = f"; started {', '.join(self.started)}" if self.started else "; ran already"
        self.started = []
        return found


def _passable(folder: Path) -> None:
    """Make a folder whose contents its user may reach by name; each of them has its own mode."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)


def keeper_sources(repository: Path) -> str:
    """Return a digest of the code that the keeper runs, which has to be started again when it is another."""
    folders = (repository / "cluster", repository / "kubeapi")
    files = [path for folder in folders for path in folder.rglob("*.py")]
    return digest_of_files(files, repository)


def _tidy(layout: Layout) -> None:
    """Take away what processes left that are gone, as after a restart of the machine where /run is not in memory."""
    if not groups.members(layout.shape.cgroup):
        mounts.release([layout.runtime, layout.kubelet])
        for record in layout.records.glob("*.json"):
            record.unlink()
        for name in ("containerd.sock", "containerd.sock.ttrpc", "keeper.sock", "announced.json"):
            (layout.runtime / name).unlink(missing_ok=True)
