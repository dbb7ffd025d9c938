"""Services and containers are found, stopped and started by way of the gate, whatever is away for a moment."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup.error import StopError
from restore import switchboard
from restore.docker import DockerSwitchboard, unit_of
from restore.switchboard import Ended, SwitchboardError, Unit
from tests.conftest import Docker, until
from tests.restore.guarded import IGNORES, Containers, Gate, Relay, running, short_folder

SERVICES = frozenset({"web"})


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for sockets."""
    with short_folder() as made:
        yield made


@pytest.fixture
def containers(docker: Docker, run_id: str) -> Iterator[Containers]:
    """A stack's containers."""
    made = Containers(docker, run_id)
    yield made
    made.remove()


@pytest.fixture
def relay() -> Iterator[Relay]:
    """Between the gate and the daemon."""
    with short_folder() as folder:
        made = Relay(folder / "docker.sock")
        yield made
        made.go()


@pytest.fixture
def gate(containers: Containers, relay: Relay) -> Iterator[Gate]:
    """A gate of the test's own."""
    with short_folder() as folder:
        by_name = containers.name("by-name")
        with running(Gate(folder, containers.stack, relay.path, RESTORE_START_CONTAINERS=by_name)) as made:
            yield made


@pytest.fixture
def board(gate: Gate) -> DockerSwitchboard:
    """The switchboard before that gate."""
    return DockerSwitchboard(str(gate.path), SERVICES)


def test_a_service_is_whatever_runs_of_it_and_a_container_is_its_name(
    board: DockerSwitchboard, containers: Containers
) -> None:
    assert board.resolve(["web", containers.name("by-name")]) == [
        Unit("web", "absent"),
        Unit(containers.name("by-name"), "absent"),
    ]
    first = containers.make("web-bbbb-1", "web", release="bbbb")
    second = containers.make("web-bbbb-2", "web", release="bbbb")
    former = containers.make("web-aaaa-1", "web", release="aaaa", starts=False)
    containers.make("web-cccc-1", "web", release="cccc", stack="another")
    by_name = containers.plain(containers.name("by-name"))
    # One that is called as the service is, but is somebody's else, is not meant by it.
    found = board.resolve(["web", by_name, "web", "../x", containers.name("web-files")])
    assert found == [
        Unit(former, "stopped", "created", 0),
        Unit(first, "running", "healthy", 1),
        Unit(second, "running", "healthy", 1),
        Unit(by_name, "running", "healthy", 1),
        Unit("../x", "absent"),
        Unit(containers.name("web-files"), "absent"),
    ]
    for unit in found[1:4]:
        board.stop(unit, 5)
        assert board.state(unit) == Unit(unit.name, "stopped", "exited", 0)
        board.start(unit, 5)
        assert board.state(unit) == unit
    # What a new release has brought is found under the same word.
    containers.docker("rm", "-f", first, second, former)
    third = containers.make("web-dddd-1", "web", release="dddd")
    assert board.resolve(["web"]) == [Unit(third, "running", "healthy", 1)]


def test_the_health_of_what_runs_is_told(board: DockerSwitchboard, containers: Containers) -> None:
    def made(name: str, command: str) -> Unit:
        check = ("--health-cmd", command, "--health-interval", "100ms", "--health-retries", "1")
        return Unit(containers.make(name, "web", options=check), "running")

    well, ill, new = made("well", "true"), made("ill", "false"), made("new", "sleep 60")
    until(lambda: board.state(well).healthy, "a healthy container")
    until(lambda: board.state(ill).detail == "unhealthy", "an unhealthy container")
    assert board.state(new).detail == "starting"
    assert not board.state(new).healthy
    assert not board.state(ill).healthy
    assert board.state(ill).state == "running"


@pytest.mark.parametrize(
    ("state", "unit"),
    [
        ("running", Unit("c", "running", "healthy", 1)),
        ("running (unhealthy)", Unit("c", "running", "unhealthy", 1)),
        ("running (starting)", Unit("c", "running", "starting", 1)),
        ("paused", Unit("c", "running", "unhealthy", 1)),
        ("restarting", Unit("c", "running", "unhealthy", 1)),
        ("exited", Unit("c", "stopped", "exited")),
        ("dead", Unit("c", "stopped", "dead")),
        ("created", Unit("c", "stopped", "created")),
        ("removing", Unit("c", "stopped", "removing")),
        ("absent", Unit("c", "absent")),
    ],
)
def test_each_state_of_a_container_is_one_of_three(state: str, unit: Unit) -> None:
    assert unit_of({"name": "c", "labels": {}, "state": state}) == unit


def test_a_container_that_does_not_heed_is_stopped_in_time(board: DockerSwitchboard, containers: Containers) -> None:
    deaf = Unit(containers.make("web-deaf", "web", *IGNORES), "running", "healthy", 1)
    began = time.monotonic()
    board.stop(deaf, 1)
    assert time.monotonic() - began < 8
    assert board.state(deaf).state == "stopped"


def test_what_is_not_there_has_stopped_and_cannot_start(board: DockerSwitchboard, containers: Containers) -> None:
    gone = Unit(containers.name("web-gone"), "running", "healthy", 1)
    board.stop(gone, 1)
    board.stop(Unit("web", "absent"), 1)
    assert board.state(gone).state == "absent"
    with pytest.raises(SwitchboardError) as refused:
        board.start(gone, 1)
    assert str(refused.value) == f"{gone.name} does not exist. `make up` makes the stack's containers anew"
    assert not refused.value.transient


def test_what_the_gate_refuses_is_an_error_at_once(board: DockerSwitchboard, containers: Containers) -> None:
    data = Unit(containers.make("database", "database"), "running", "healthy", 1)
    began = time.monotonic()
    with pytest.raises(SwitchboardError, match="in the settings neither by its service nor by its name") as refused:
        board.stop(data, 1)
    assert "RESTORE_STOP_CONTAINERS" in refused.value.hint
    for name in ("../x", "a b", "x" * 300, ""):
        with pytest.raises(SwitchboardError, match="is no name of a container"):
            board.stop(Unit(name, "running"), 1)
    assert time.monotonic() - began < 5
    assert board.state(data).state == "running"


def test_a_container_that_ends_at_once_is_no_start(board: DockerSwitchboard, containers: Containers) -> None:
    brief = Unit(containers.make("web-brief", "web", "false", starts=False), "stopped")
    broken = Unit(containers.make("web-broken", "web", "no-such-program", starts=False), "stopped")
    # It may be seen in the moment in which it runs; what it is then, its state tells.
    try:
        board.start(brief, 1)
    except SwitchboardError as error:
        assert "was started and ended at once" in error.reason  # noqa: PT017
    until(lambda: board.state(brief).state == "stopped", "the end of it")
    with pytest.raises(SwitchboardError, match="refused with status 400"):
        board.start(broken, 1)


def test_a_daemon_that_restarts_in_the_middle_of_a_stop_is_waited_for(
    board: DockerSwitchboard, relay: Relay, containers: Containers
) -> None:
    deaf = Unit(containers.make("web-restarted", "web", *IGNORES), "running", "healthy", 1)
    begun = threading.Event()

    def notice(asked: str) -> None:
        if "/stop" in asked:
            begun.set()

    relay.before = notice
    errors: list[Exception] = []

    def stop() -> None:
        try:
            board.stop(deaf, 2)
        except SwitchboardError as error:
            errors.append(error)

    stopping = threading.Thread(target=stop)
    stopping.start()
    assert begun.wait(10)
    relay.go()
    relay.come()
    stopping.join(30)
    assert errors == []
    assert board.state(deaf).state == "stopped"


def test_a_gate_that_restarts_is_waited_for(board: DockerSwitchboard, gate: Gate, containers: Containers) -> None:
    web = Unit(containers.make("web-1", "web"), "running", "healthy", 1)
    gate.stop(signal.SIGKILL)
    errors: list[SwitchboardError] = []

    def stop() -> None:
        try:
            board.stop(web, 5)
        except SwitchboardError as error:
            errors.append(error)

    stopping = threading.Thread(target=stop)
    stopping.start()
    gate.start()
    stopping.join(30)
    assert errors == []
    assert board.state(web).state == "stopped"


def test_nobody_is_waited_for_longer_than_agreed(gate: Gate, relay: Relay, containers: Containers) -> None:
    board = DockerSwitchboard(str(gate.path), SERVICES, spare_seconds=1)
    web = Unit(containers.make("web-1", "web"), "running", "healthy", 1)
    relay.go()
    try:
        began = time.monotonic()
        for ask in (
            lambda: board.resolve(["web"]),
            lambda: board.stop(web, 0.1),
            lambda: board.run_migration("a", 0.1),
        ):
            with pytest.raises(SwitchboardError, match="the Docker daemon does not answer") as refused:
                ask()
            assert refused.value.transient
        assert time.monotonic() - began < 8
    finally:
        relay.come()
    gate.stop()
    with pytest.raises(SwitchboardError, match="cannot be reached: No such file or directory") as refused:
        board.state(web)
    assert refused.value.hint == "Start it: `make up`"
    assert containers.state(web.name) == "running"


def test_a_daemon_that_says_nothing_is_given_up(
    gate: Gate, relay: Relay, containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.docker.LOOK_SECONDS", 0.5)
    hangs = threading.Event()

    def hang(_asked: str) -> None:
        hangs.wait(20)

    relay.before = hang
    try:
        with pytest.raises(SwitchboardError, match="the gate did not answer within 1 s"):
            DockerSwitchboard(str(gate.path), SERVICES, spare_seconds=1).resolve(["web"])
    finally:
        hangs.set()


def test_the_migrations_of_a_release_are_run_to_their_end(board: DockerSwitchboard, containers: Containers) -> None:
    containers.make("migrate-aaaa", "migrate", "sh", "-c", "echo upgraded; exit 0", release="aaaa", starts=False)
    containers.make("migrate-bbbb", "migrate", "sh", "-c", "echo token=abc; exit 4", release="bbbb", starts=False)
    assert board.run_migration("aaaa", 20) == Ended(0, ("upgraded",))
    assert board.run_migration("bbbb", 20) == Ended(4, ("token=***",))
    assert board.run_migration("aaaa", 20) == Ended(0, ("upgraded",))
    with pytest.raises(SwitchboardError, match="there is no container with the migrations of release cccc") as refused:
        board.run_migration("cccc", 20)
    assert not refused.value.transient


def test_migrations_go_on_while_the_daemon_is_away_for_a_moment(
    board: DockerSwitchboard, relay: Relay, containers: Containers, docker: Docker
) -> None:
    command = ("sh", "-c", "until test -e /tmp/done; do sleep 0.1; done; echo ended; exit 3")
    name = containers.make("migrate-aaaa", "migrate", *command, release="aaaa", starts=False)
    ended: list[Ended] = []
    running_it = threading.Thread(target=lambda: ended.append(board.run_migration("aaaa", 30)))
    running_it.start()
    until(lambda: containers.state(name) == "running", "a migration that runs")
    relay.go()
    docker("exec", name, "touch", "/tmp/done")
    until(lambda: containers.state(name) == "exited", "the migration's end")
    relay.come()
    running_it.join(30)
    assert ended == [Ended(3, ("ended",))]


def test_the_platform_is_found_in_the_environment() -> None:
    found = switchboard.connect({"RESTORE_GATE_SOCKET": "/run/gate.sock", "RESTORE_SERVICES": "web,worker"})
    assert isinstance(found, DockerSwitchboard)
    assert (found.path, found.services) == ("/run/gate.sock", frozenset({"web", "worker"}))
    with pytest.raises(StopError, match="RESTORE_GATE_SOCKET: not set, wanted the socket of the gate"):
        switchboard.connect({})
    with pytest.raises(StopError, match="serviceaccount: cannot be read"):
        switchboard.connect({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
