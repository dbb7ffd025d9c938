"""The gate lets four verbs through, for one user and one stack, whatever is sent to it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restore import tail, wire
from restore.wire import RefusedError
from tests.conftest import ROOT, Docker, until
from tests.restore.guarded import (
    IGNORES,
    MAY_REACH_THE_DAEMON,
    Containers,
    Gate,
    Relay,
    answer,
    as_user,
    running,
    short_folder,
)

RELEASE = "0123456789"
NOBODY = 54321


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for sockets."""
    with short_folder() as made:
        yield made


@pytest.fixture(scope="module")
def containers(docker: Docker, run_id: str) -> Iterator[Containers]:
    """A stack's containers."""
    made = Containers(docker, run_id)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def relay(folder: Path) -> Iterator[Relay]:
    """Between the gate and the daemon; nothing but what the gate may ask has passed it in the end."""
    made = Relay(folder / "docker.sock")
    yield made
    made.go()
    strange = [asked for asked in made.asked if not MAY_REACH_THE_DAEMON.fullmatch(asked)]
    assert made.asked
    assert strange == []


@pytest.fixture(scope="module")
def gate(folder: Path, containers: Containers, relay: Relay) -> Iterator[Gate]:
    """A gate for the stack's service `web` and one container by its name."""
    literal = f"{containers.name('by')}.name"
    with running(Gate(folder, containers.stack, relay.path, RESTORE_START_CONTAINERS=literal)) as made:
        yield made


@pytest.fixture(scope="module")
def web(containers: Containers) -> str:
    """A container of the service that may be stopped; it runs whenever a test begins that leaves it alone."""
    hidden = ("--env", "PASSWORD=hunter2", "--volume", "/usr/share/zoneinfo:/hidden-mount:ro", "--label", "other=label")
    return containers.make(f"web-{RELEASE}-1", "web", release=RELEASE, options=hidden)


def test_only_name_labels_and_state_are_told_and_only_of_this_stack(
    gate: Gate, containers: Containers, web: str
) -> None:
    data = containers.make("database", "database", starts=False)
    containers.make("web-of-another", "web", stack=f"{containers.stack}2", starts=False)
    containers.plain(f"other-{containers.stack}-web", starts=False)
    by_name = containers.plain(f"{containers.name('by')}.name", starts=False)
    status, seen = gate.ask("GET", "/containers")
    own = {"scaffold.project": "scaffold-test", "scaffold.stack": containers.stack}
    assert status == 200
    assert seen == {
        "containers": [
            {"name": by_name, "labels": {}, "state": "created"},
            {"name": data, "labels": own | {"scaffold.service": "database"}, "state": "created"},
            {
                "name": web,
                "labels": own | {"scaffold.service": "web", "scaffold.release": RELEASE},
                "state": "running",
            },
        ]
    }


@pytest.mark.parametrize(
    "target",
    [
        "/containers/WEB/stop", "/containers/WEB/stop?timeout=", "/containers/WEB/stop?timeout=-1",
        "/containers/WEB/stop?timeout=99999", "/containers/WEB/stop?timeout=1&signal=SIGKILL",
        "/containers/WEB/stop?t=1", "/containers/WEB/stop?timeout=1#", "/containers/WEB/stop/?timeout=1",
        "//containers/WEB/stop?timeout=1", "/v1.41/containers/WEB/stop?timeout=1", "/./containers/WEB/stop?timeout=1",
        "/containers/../containers/WEB/stop?timeout=1", "/containers/%2e%2e/WEB/stop?timeout=1",
        "/containers/WEB%2fstop?timeout=1", "/containers/%57EB/stop?timeout=1", "/containers/WEB%00/stop?timeout=1",
        "/containers/WEB;x/stop?timeout=1", "/containers/x/../WEB/stop?timeout=1", "/containers/WEB\\/stop?timeout=1",
        "/containers//stop?timeout=1", "/containers/.*/stop?timeout=1", "/containers/^WEB$/stop?timeout=1",
        "/containers/[a-z]+/stop?timeout=1", "/containers/{ID}/stop?timeout=1", "/containers/{ID12}/stop?timeout=1",
        "/containers/WEB/kill", "/containers/WEB/exec", "/containers/WEB/json", "/containers/WEB/logs?stdout=1",
        "/containers/WEB/update", "/containers/WEB/restart", "/containers/WEB/pause", "/containers/WEB/rename?name=x",
        "/containers/WEB/attach", "/containers/WEB/archive?path=/", "/containers/create", "/containers/create?name=x",
        "/containers/json", "/containers/prune", "/exec/WEB/start", "/images/create", "/images/json", "/build",
        "/volumes/create", "/networks", "/info", "/version", "/_ping", "/events", "/secrets", "/session", "/grpc",
        "/auth", "/swarm/init", "/plugins", "/distribution/x/json", "/migrations/../run?timeout=1",
        "/migrations/x%2f/run?timeout=1", "/containers?all=1", "/containers/", "/health?", "/",
    ],
)  # fmt: skip
def test_no_other_address_leads_anywhere(
    gate: Gate, relay: Relay, containers: Containers, docker: Docker, web: str, target: str
) -> None:
    if "{ID" in target:
        identity = docker("inspect", "--format", "{{.Id}}", web)
        target = target.replace("{ID12}", identity[:12]).replace("{ID}", identity)
    before = len(relay.asked)
    for method in ("POST", "GET"):
        status, told = gate.ask(method, target.replace("WEB", web))
        assert 400 <= status < 500, told
        assert told["transient"] is False
    # At the most the gate has looked whether there is such a container.
    assert set(relay.asked[before:]) <= {"GET /containers/json?all=1"}
    assert containers.state(web) == "running"


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "post", "P\tOST"])
def test_no_other_method_is_taken(gate: Gate, relay: Relay, web: str, method: str) -> None:
    before = len(relay.asked)
    status, _ = gate.ask(method, f"/containers/{web}/stop?timeout=1")
    assert status in (400, 405)
    assert relay.asked[before:] == []


@pytest.mark.parametrize(
    "sent",
    [
        b"POST STOP HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"POST STOP HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nContent-Length: +0\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nContent-Length: 0\r\n\r\nPOST /containers/create HTTP/1.1\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST STOP HTTP/1.1\r\ntransfer-encoding:\tchunked\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nX: y\rz\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nX: \x00\r\n\r\n",
        b"POST STOP HTTP/1.1\r\n: x\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
        b"POST STOP HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
        b"POST STOP HTTP/1.0\r\n\r\n",
        b"POST STOP HTTP/1.1 \r\n\r\n",
        b"POST  STOP HTTP/1.1\r\n\r\n",
        b"POST STOP\r\n\r\n",
        b"POST http://docker STOP HTTP/1.1\r\n\r\n",
        b"POST http://docker/containers/json HTTP/1.1\r\n\r\n",
        b"\r\nPOST STOP HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_a_request_that_hides_another_is_refused_whole(gate: Gate, relay: Relay, web: str, sent: bytes) -> None:
    before = len(relay.asked)
    status, told = gate.raw(sent.replace(b"STOP", f"/containers/{web}/stop?timeout=1".encode()))
    assert status in (400, 405), told
    assert relay.asked[before:] == []


VALID = b"POST /containers/web/stop?timeout=1 HTTP/1.1\r\nHost: gate\r\nContent-Length: 0"
PIECES = (
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b"/", b"%2f", b"..", b"chunked", b"Transfer-Encoding: chunked",
    b"Content-Length: 7", b"GET / HTTP/1.1", b"HTTP/1.0", b"\xff", b"Upgrade: h2c", b"?", b"#",
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 3), st.sampled_from(PIECES)), max_size=4))
def test_a_changed_head_is_refused_or_asks_for_what_stands_there(changes: list[tuple[int, int, bytes]]) -> None:
    head = VALID
    for place, length, piece in changes:
        head = head[:place] + piece + head[place + length :]
    try:
        request = wire.parse(head)
    except RefusedError:
        return
    first, _, rest = head.partition(b"\r\n")
    assert first == f"{request.method} {request.target} HTTP/1.1".encode()
    assert re.fullmatch(r"[!-~]+", request.target)
    assert not re.search(rb"(?i)^(transfer-encoding|upgrade|content-length:\s*[^0\s])", rest, re.MULTILINE)


def test_a_head_without_end_is_refused_when_it_is_too_long(gate: Gate) -> None:
    assert gate.raw(b"GET /containers HTTP/1.1\r\nX: " + b"x" * 100_000)[0] == 431
    assert gate.raw(b"GET /" + b"x" * 100_000)[0] == 431


def test_who_sends_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.3)
    near, far = socket.socketpair()
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.05):
            near.sendall(b"x")

    dripping = threading.Thread(target=drip)
    dripping.start()
    began = time.monotonic()
    with near, far:
        try:
            with pytest.raises(RefusedError, match="not whole within") as refused:
                wire.head(far)
        finally:
            ended.set()
            dripping.join()
    assert refused.value.status == 408
    assert time.monotonic() - began < 2


def test_connections_that_say_nothing_keep_nobody_out_for_long(gate: Gate, web: str) -> None:
    silent = [gate.connect() for _ in range(16)]
    crowded = None
    deadline = time.monotonic() + 5
    while (crowded is None or crowded[0] != 503) and time.monotonic() < deadline:
        crowded = gate.ask("GET", "/containers")
    assert crowded == (503, {"reason": "too much is asked at once", "hint": "", "transient": True})
    for each in silent[:8]:
        each.close()
    until(lambda: gate.ask("GET", "/containers")[0] == 200, "an answer beside the silent ones")
    for each in silent:
        each.close()


def test_the_socket_is_for_owner_and_group_and_answers_only_the_coordinator(containers: Containers, web: str) -> None:
    coordinator = 10005
    with short_folder() as folder:
        mine = Gate(folder, containers.stack, RESTORE_COORDINATOR_UID=str(coordinator))
        with running(mine):
            mode = mine.path.stat()
            assert stat.S_ISSOCK(mode.st_mode)
            assert stat.S_IMODE(mode.st_mode) == 0o660
            with as_user(coordinator, coordinator), pytest.raises(PermissionError):
                mine.connect()
            os.chown(mine.path, 0, coordinator)
            with as_user(coordinator, coordinator):
                assert mine.ask("GET", "/containers")[0] == 200
            for user in (NOBODY, 10006):
                with as_user(user, coordinator):
                    status, told = mine.ask("POST", f"/containers/{web}/stop?timeout=1")
                assert status == 403
                assert told["reason"] == f"user {user} may not open the gate"
            # The gate's own user, who has the daemon's socket anyway, asks whether it is well.
            assert mine.ask("GET", "/health") == (200, {"status": "well"})
            assert mine.ask("GET", "/containers")[0] == 403
            assert mine.ask("POST", f"/containers/{web}/stop?timeout=1")[0] == 403
            assert mine.events(f"user {NOBODY} may not open the gate") == 1
    assert containers.state(web) == "running"


def test_what_is_not_in_the_settings_is_neither_stopped_nor_started(gate: Gate, containers: Containers) -> None:
    data = containers.make("data", "database")
    other = containers.make("another-web", "web", stack=f"{containers.stack}2")
    suffix = containers.plain(f"x{containers.name(f'web-{RELEASE}-1')}")
    like = containers.plain(f"{containers.name('by')}-name")
    for verb in ("stop?timeout=1", "start"):
        status, told = gate.ask("POST", f"/containers/{data}/{verb}")
        assert status == 403
        assert "RESTORE_STOP_CONTAINERS" in told["hint"]
        # Of others it is not even told that they are there.
        for name in (other, suffix, like, "does-not-exist"):
            status, told = gate.ask("POST", f"/containers/{name}/{verb}")
            assert status == 404
            assert told["reason"] == f"no container of this stack is called {name}"
    assert {containers.state(name) for name in (data, other, suffix, like)} == {"running"}


def test_a_name_that_changes_hands_in_between_leads_to_the_container_that_was_meant(
    gate: Gate, relay: Relay, containers: Containers, docker: Docker
) -> None:
    name = containers.make("moved", "web")
    identity = docker("inspect", "--format", "{{.Id}}", name)
    stranger = containers.plain(containers.name("stranger"))

    def swap(asked: str) -> None:
        if asked.startswith("POST"):
            docker("rename", identity, f"{name}-before")
            docker("rename", stranger, name)

    relay.before = swap
    try:
        assert gate.ask("POST", f"/containers/{name}/stop?timeout=5")[0] == 200
    finally:
        relay.before = lambda _: None
    assert containers.state(identity) == "exited"
    assert containers.state(name) == "running"


def test_a_container_that_ignores_the_signal_is_killed_in_time(gate: Gate, containers: Containers) -> None:
    name = containers.make("deaf", "web", *IGNORES)
    began = time.monotonic()
    status, told = gate.ask("POST", f"/containers/{name}/stop?timeout=1")
    assert status == 200
    assert told["state"] == "exited"
    assert 1 <= time.monotonic() - began < 8
    assert containers.state(name) == "exited"
    assert gate.ask("POST", f"/containers/{name}/stop?timeout=1")[0] == 200


def test_paused_and_restarting_containers_are_stopped_and_stay_so(
    gate: Gate, containers: Containers, docker: Docker
) -> None:
    paused = containers.make("paused", "web")
    docker("pause", paused)
    looping = containers.make("looping", "web", "false", options=("--restart", "unless-stopped"))
    until(lambda: containers.state(looping) == "restarting", "a container that restarts")
    shown = {each["name"]: each["state"] for each in gate.ask("GET", "/containers")[1]["containers"]}
    assert (shown[paused], shown[looping]) == ("paused", "restarting")
    for name in (paused, looping):
        status, told = gate.ask("POST", f"/containers/{name}/stop?timeout=2")
        assert (status, told["state"]) == (200, "exited")
    count = docker("inspect", "--format", "{{.RestartCount}}", looping)
    assert gate.ask("POST", f"/containers/{looping}/start")[0] == 200
    until(lambda: docker("inspect", "--format", "{{.RestartCount}}", looping) != count, "restarts after a start")
    assert gate.ask("POST", f"/containers/{looping}/stop?timeout=2")[1]["state"] == "exited"


def test_a_stop_whose_caller_has_gone_ends_before_the_next_start(
    gate: Gate, relay: Relay, containers: Containers, docker: Docker
) -> None:
    name = containers.make("abandoned", "web", *IGNORES)
    begun = f"POST /containers/{docker('inspect', '--format', '{{.Id}}', name)}/stop?t=2"
    with gate.connect() as gone:
        gone.sendall(f"POST /containers/{name}/stop?timeout=2 HTTP/1.1\r\n\r\n".encode())
        until(lambda: begun in relay.asked, "a stop that has begun")
    status, told = gate.ask("POST", f"/containers/{name}/start")
    assert (status, told["state"]) == (200, "running")
    # The stop was over by then: nothing of it is left that would end the container now.
    assert gate.events(f'"stopped","container":"{name}"') == 1
    assert docker("inspect", "--format", "{{.State.StartedAt}}", name) > docker(
        "inspect", "--format", "{{.State.FinishedAt}}", name
    )


def test_a_start_is_answered_with_what_became_of_it(gate: Gate, containers: Containers) -> None:
    brief = containers.make("brief", "web", "false", starts=False)
    broken = containers.make("broken", "web", "no-such-program", starts=False)
    assert gate.ask("POST", f"/containers/{brief}/start")[1]["state"] in ("running", "exited")
    status, told = gate.ask("POST", f"/containers/{broken}/start")
    assert status == 502
    assert "no-such-program" not in json.dumps(told)
    assert told["hint"] == "The gate's own log has its words"
    assert gate.events("no-such-program") == 1


def test_while_the_daemon_is_away_that_is_said_and_when_it_is_back_all_is_well(
    gate: Gate, relay: Relay, web: str
) -> None:
    assert gate.ask("GET", "/health")[0] == 200
    relay.go()
    try:
        for method, target in (
            ("GET", "/containers"),
            ("POST", f"/containers/{web}/stop?timeout=1"),
            ("GET", "/health"),
        ):
            status, told = gate.ask(method, target)
            assert (status, told["reason"], told["transient"]) == (502, "the Docker daemon does not answer", True)
    finally:
        relay.come()
    assert gate.ask("GET", "/containers")[0] == 200


LOGS = """
echo 'of another day'
echo '{"event":"upgrade","level":"info","revision":"0003","timestamp":"t","url":"postgresql+psycopg://owner:hunter2@db/x"}'
echo 'password=hunter2 and PGPASSWORD: "hunter2"' >&2
i=0; while [ $i -lt 100 ]; do echo "line $i"; i=$((i+1)); done
head -c 100000 /dev/zero | tr '\\0' x; echo
echo '{"event":"failed","level":"error","exception":"Traceback\\\\n  file\\\\nValueError: postgresql://o:hunt@er2@h/d"}'
exit 7
"""


def test_migrations_run_anew_and_their_end_is_told_with_a_few_clean_lines(gate: Gate, containers: Containers) -> None:
    containers.make("migrate-aaaa", "migrate", "true", release="aaaa", starts=False)
    containers.make("migrate-bbbb", "migrate", "sh", "-c", LOGS, release="bbbb")
    containers.make("migrate-of-another", "migrate", "true", release="cccc", stack="another", starts=False)
    assert gate.ask("POST", "/migrations/aaaa/run?timeout=20")[1] == {
        "name": containers.name("migrate-aaaa"),
        "labels": {
            "scaffold.project": "scaffold-test", "scaffold.stack": containers.stack,
            "scaffold.service": "migrate", "scaffold.release": "aaaa",
        },
        "state": "exited", "status": 0, "lines": [],
    }  # fmt: skip
    status, told = gate.ask("POST", "/migrations/bbbb/run?timeout=20")
    assert (status, told["status"], told["state"]) == (200, 7, "exited")
    assert len(told["lines"]) <= tail.LINES
    assert "line 99" in told["lines"]
    assert told["lines"][-1] == "error: failed: ValueError: postgresql://***@h/d"
    text = json.dumps(told)
    assert len(text) < 20_000
    assert "hunter2" not in text
    for missing in ("cccc", "dddd", "migrate"):
        status, told = gate.ask("POST", f"/migrations/{missing}/run?timeout=5")
        assert (status, told["hint"]) == (404, "`make up` makes it")
    # By its name it is no way in: its service is not one of those in the settings.
    assert gate.ask("POST", f"/containers/{containers.name('migrate-bbbb')}/start")[0] == 403


def test_migrations_that_run_already_end_first_and_those_that_take_too_long_are_stopped(
    gate: Gate, containers: Containers, docker: Docker
) -> None:
    name = containers.make("migrate-eeee", "migrate", "sh", "-c", "sleep 1.5; echo done", release="eeee")
    first = docker("inspect", "--format", "{{.State.StartedAt}}", name)
    status, told = gate.ask("POST", "/migrations/eeee/run?timeout=20")
    assert (status, told["status"], told["lines"]) == (200, 0, ["done"])
    assert docker("inspect", "--format", "{{.State.StartedAt}}", name) > first
    slow = containers.make("migrate-ffff", "migrate", release="ffff", starts=False)
    began = time.monotonic()
    status, told = gate.ask("POST", "/migrations/ffff/run?timeout=1")
    assert status == 504
    assert told["reason"] == f"{slow} was not done in time and has been stopped"
    assert containers.state(slow) == "exited"
    assert time.monotonic() - began < 20


def test_one_gate_serves_at_a_time_and_follows_one_that_was_killed(containers: Containers, web: str) -> None:
    with short_folder() as folder:
        first, second = Gate(folder, containers.stack), Gate(folder, containers.stack)
        with running(first):
            said = subprocess.run(
                [sys.executable, "-m", "restore", "gate"],
                env=second.environ,
                capture_output=True,
                text=True,
                timeout=20,
            )
            assert said.returncode == 1
            assert "another gate serves there" in said.stdout
            assert first.ask("GET", "/containers")[0] == 200
            first.stop(signal.SIGKILL)
            assert second.path.exists()
            with running(second):
                assert second.ask("GET", "/containers")[0] == 200
                assert second.stop() == 128 + signal.SIGTERM
            assert not second.path.exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RESTORE_PROJECT", "", "RESTORE_PROJECT: not set, wanted what the stack's containers have in the label"),
        ("RESTORE_STACK", "", "RESTORE_STACK: not set"),
        ("RESTORE_STOP_CONTAINERS", "web,../x", "got '../x', wanted names of services or containers"),
        ("RESTORE_START_CONTAINERS", "a/b", "got 'a/b', wanted names of services or containers"),
        ("RESTORE_COORDINATOR_UID", "root", "RESTORE_COORDINATOR_UID: got 'root', wanted a whole number"),
        ("RESTORE_GATE_SOCKET", "/no/such/folder/gate.sock", "cannot listen there: No such file or directory"),
        ("RESTORE_GATE_SOCKET", f"/tmp/{'x' * 150}", "cannot listen there"),
    ],
)
def test_an_unusable_setting_ends_the_gate_with_its_name(tmp_path: Path, name: str, value: str, said: str) -> None:
    environ = {**Gate(tmp_path, "stack").environ, name: value}
    done = subprocess.run(
        [sys.executable, "-m", "restore", "gate"], env=environ, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 1
    assert said in json.loads(done.stdout)["event"]
    assert done.stderr == ""


def test_the_check_tells_a_well_gate_from_none(gate: Gate, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "restore", "gate", "check"]
    assert subprocess.run(command, env=gate.environ, capture_output=True, timeout=20).returncode == 0
    none = {**gate.environ, "RESTORE_GATE_SOCKET": str(tmp_path / "none")}
    done = subprocess.run(command, env=none, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "the gate does not answer" in done.stdout


def test_a_gate_whose_daemon_came_back_elsewhere_ends_to_be_started_anew(containers: Containers) -> None:
    script = "from restore import __main__, door; door.DESERTED_SECONDS = 0.3; __main__.main(['gate'])"
    with short_folder() as folder:
        deserted = folder / "docker.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as daemon:
            daemon.bind(str(deserted))
        left = Gate(folder, containers.stack, deserted, "-c", script)
        with running(left):
            assert left.process is not None
            process = left.process

            def asked_once_more() -> bool:
                # The last one may get no answer.
                with contextlib.suppress(OSError), left.connect() as connection:
                    connection.sendall(b"GET /containers HTTP/1.1\r\n\r\n")
                    connection.recv(4096)
                return process.poll() is not None

            until(asked_once_more, "the end of the gate")
            assert process.wait(10) == 128 + signal.SIGTERM
            assert left.events("cannot be reached") > 1
            assert left.events("nobody has listened at the daemon's socket") >= 1
        # One that is merely away, with its socket, may take its time.
        deserted.unlink()
        patient = Gate(folder, containers.stack, deserted, "-c", script)
        with running(patient):
            assert patient.process is not None
            began = time.monotonic()
            while time.monotonic() - began < 0.6:
                assert patient.ask("GET", "/containers")[0] == 502
            assert patient.process.poll() is None


def test_a_check_loads_little_as_there_are_many_of_them(gate: Gate) -> None:
    script = (
        "import sys; from restore import __main__; assert __main__.main(['gate', 'check']) == 0; "
        "print(sorted({'dataclasses', 'http.client', 'restore.keeper', 'typing'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'backup')!r}); {script}"],
        env=gate.environ,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_an_idle_gate_costs_next_to_nothing(gate: Gate) -> None:
    assert gate.process is not None
    folder = Path("/proc") / str(gate.process.pid)
    resident = int(re.findall(r"VmRSS:\s+(\d+) kB", (folder / "status").read_text())[0])
    until(lambda: len(list((folder / "task").iterdir())) == 1, "one thread")

    def spent() -> int:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = spent()
    time.sleep(0.5)
    assert spent() == before
    assert resident < 40_000


@pytest.mark.parametrize(
    ("line", "cleaned"),
    [
        ("postgresql+psycopg://owner:p@ss@db:5432/x?a=b", "postgresql+psycopg://***@db:5432/x?a=b"),
        ("see https://example.org/a", "see https://example.org/a"),
        ('{"password": "a b", "user": "x"}', '{"password": ***, "user": "x"}'),
        ("PGPASSWORD=abc SECRET_KEY='d e' METRICS_TOKEN=f", "PGPASSWORD=*** SECRET_KEY=*** METRICS_TOKEN=***"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("DETAIL:  Key (email)=(a@b.example) already exists.", "DETAIL:  Key (email)=(***) already exists."),
        ("Failing row contains (1, a, b).", "Failing row contains (***)."),
        ("[parameters: {'email': 'a'}]", "[parameters: ***"),
        ("-----BEGIN PRIVATE KEY----- MIIE", "***"),
        ("a\x1b[31mred\x1b[0m\r\x07", "a red   "),
        ("Running upgrade 0002 -> 0003, login", "Running upgrade 0002 -> 0003, login"),
        ("sha256:" + "0123456789abcdef" * 4, "sha256:" + "0123456789abcdef" * 4),
        ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7", "***"),
    ],
)
def test_a_line_of_a_log_is_kept_without_its_secrets(line: str, cleaned: str) -> None:
    assert tail.cleaned(line) == cleaned


def test_cleaning_a_hostile_line_takes_no_time() -> None:
    began = time.monotonic()
    for word in ("password", "a://", "key-", "secret=", "(", ")=(", '\\"', "Aa1"):
        tail.cleaned(word * 100_000)
        tail.last(f"{word * 1000}\n" * 40)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("framed", "lines"),
    [
        (b"", ()),
        (b"\x01\0\0\0\0\0\0\x04ab\n\xff", ("ab", "�")),
        (b"\x01\0\0\0\0\0\0\x03ab\n\x02\0\0\0\0\0\xff\xffcut", ("ab", "cut")),
        (b"\x01\0\0\0", ()),
        (b'\x01\0\0\0\0\0\0\x08["a"]\n{}', ('["a"]', "{}")),
    ],
)
def test_a_log_in_the_daemons_framing_is_read_also_when_it_is_cut_off(framed: bytes, lines: tuple[str, ...]) -> None:
    assert tail.of_container(framed) == lines


def test_an_answer_that_nobody_reads_holds_nobody_up(gate: Gate, web: str) -> None:
    with gate.connect() as deaf:
        deaf.sendall(b"GET /containers HTTP/1.1\r\n\r\n")
        assert gate.ask("GET", "/containers")[0] == 200
        assert answer(deaf)[0] == 200
