"""A daemon that is started by hand outlives its starter and keeps its log; nothing here touches the real one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from setup import engine
from setup.daemon import Endpoint, connectable
from setup.facts import Docker
from setup.places import Places
from setup.problem import Problem

DAEMON = """#!{python}
import socket, sys, time
print("daemon begins", flush=True)
{before}
server = socket.socket(socket.AF_UNIX)
server.bind("{path}")
server.listen()
while True:
    connection, _ = server.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nOK")
    connection.close()
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a daemon is started as root, and this is not")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path / "cache", tmp_path / "state", tmp_path / ".venv")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The numbers of the processes that were started, which end with the test."""
    numbers: list[int] = []
    launch = engine.launch

    def remember(*arguments: object) -> object:
        process = launch(*arguments)  # type: ignore[arg-type]
        numbers.append(process.pid)
        processes.append(process)
        return process

    processes: list[object] = []
    monkeypatch.setattr(engine, "launch", remember)
    yield numbers
    for process in processes:
        process.kill()  # type: ignore[attr-defined]
        process.wait(10)  # type: ignore[attr-defined]


def stopped_docker(tmp_path: Path, before: str = "") -> Docker:
    program, path = tmp_path / "dockerd", tmp_path / "d.sock"
    program.write_text(DAEMON.format(python=sys.executable, path=path, before=before))
    program.chmod(0o755)
    return Docker(Endpoint(socket=str(path)), "away", local=True, program=str(program))


def test_a_stopped_daemon_is_started_in_a_session_of_its_own_with_its_log_kept(
    tmp_path: Path, places: Places, started: list[int]
) -> None:
    docker = stopped_docker(tmp_path, before="time.sleep(0.3)")
    how = engine.bring_up(docker, "start-by-hand", "", places, os.environ, lambda _words: None)
    [pid] = started
    log = places.logs / "dockerd.log"
    assert how == f"started by hand; its log is {log}"
    assert connectable(docker.endpoint) == "running"
    assert os.getsid(pid) == pid
    assert log.read_text() == "daemon begins\n"


def test_a_daemon_that_ends_at_once_is_said_with_its_last_words(
    tmp_path: Path, places: Places, started: list[int]
) -> None:
    docker = stopped_docker(tmp_path, before="sys.exit('no iptables')")
    with pytest.raises(Problem) as refused:
        engine.bring_up(docker, "start-by-hand", "", places, os.environ, lambda _words: None)
    assert "started by hand, ended:" in refused.value.cause
    assert "no iptables" in refused.value.cause
    assert "dockerd.log" in refused.value.fix


def test_a_daemon_that_never_answers_is_given_up_on(
    tmp_path: Path, places: Places, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "START_SECONDS", 1)
    docker = stopped_docker(tmp_path, before="time.sleep(60)")
    with pytest.raises(Problem, match="did not answer within 1 s"):
        engine.bring_up(docker, "start-by-hand", "", places, os.environ, lambda _words: None)
    os.kill(started[0], signal.SIGTERM)
