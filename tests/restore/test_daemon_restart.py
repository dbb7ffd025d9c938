"""What has been stopped stays stopped when the Docker daemon restarts, and a stop holds through a restart."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from restore.docker import DockerSwitchboard
from restore.switchboard import SwitchboardError, Unit
from tests.conftest import until
from tests.restore.daemon import Daemon, own_daemon
from tests.restore.guarded import IGNORES, Containers, Gate, running, short_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon that may be restarted."""
    with own_daemon() as made:
        yield made


@pytest.fixture
def containers(daemon: Daemon, run_id: str) -> Iterator[Containers]:
    """A stack's containers on it."""
    made = Containers(daemon, run_id)
    yield made
    made.remove()


@pytest.fixture
def board(daemon: Daemon, containers: Containers) -> Iterator[DockerSwitchboard]:
    """The switchboard before a gate to it."""
    with short_folder() as folder, running(Gate(folder, containers.stack, daemon.socket)) as gate:
        yield DockerSwitchboard(str(gate.path), frozenset({"web"}))


def run(containers: Containers, name: str, *command: str, restart: str) -> Unit:
    """Run a container with a restart policy."""
    return Unit(containers.make(name, "web", *command, options=("--restart", restart)), "running", "healthy", 1)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_stopped_stays_so_over_a_restart_of_the_daemon(
    daemon: Daemon, containers: Containers, board: DockerSwitchboard, how: signal.Signals
) -> None:
    stopped = run(containers, "stopped", restart="unless-stopped")
    going = run(containers, "going", restart="unless-stopped")
    never = run(containers, "never", restart="no")
    stubborn = run(containers, "stubborn", restart="always")
    for unit in (stopped, never, stubborn):
        board.stop(unit, 5)
    daemon.restart(how)
    # Only what is to run whatever anybody says comes back; from that the database is fenced.
    until(lambda: board.state(stubborn).state == "running", "what always comes back")
    if how == signal.SIGTERM:
        # One that was killed has, in some versions, stopped what ran, as if somebody had asked for it.
        until(lambda: board.state(going).state == "running", "what ran before")
    assert [board.state(unit).state for unit in (stopped, never)] == ["stopped", "stopped"]
    board.start(stopped, 5)
    assert board.state(stopped) == stopped


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_stop_holds_through_a_restart_of_the_daemon(
    daemon: Daemon, containers: Containers, board: DockerSwitchboard, how: signal.Signals
) -> None:
    deaf = run(containers, "deaf", *IGNORES, restart="unless-stopped")
    errors: list[SwitchboardError] = []

    def stop() -> None:
        try:
            board.stop(deaf, 3)
        except SwitchboardError as error:
            errors.append(error)

    stopping = threading.Thread(target=stop)
    stopping.start()
    daemon.restart(how)
    stopping.join(90)
    assert not stopping.is_alive()
    assert errors == []
    assert board.state(deaf).state == "stopped"
    daemon.restart(signal.SIGTERM)
    assert board.state(deaf).state == "stopped"
