"""`make flask`: the app's own commands where it runs, with input and output of whoever types them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeapi import commands, websocket
from operate import conversation
from operate.docker.command import Frames, choose
from operate.docker.containers import Container
from operate.kubernetes import command as in_cluster
from operate.request import request_from
from setup import state
from setup.problem import Problem
from tests.conftest import ROOT, Docker

# Stands in for the app's commands: says what it was asked, on both streams, and what it was given.
ANSWERS = """#!/bin/sh
echo "asked: $*"
echo "for people" >&2
case "$*" in *quick*) exit 0 ;; *unknown*) exit 2 ;; esac
cat
exit 7
"""


@pytest.fixture(scope="module")
def stack(docker: Docker, run_id: str, base_image: str) -> str:
    """A stack with an app that knows a command."""
    name = f"flask-{run_id}"
    start(docker, run_id, base_image, name)
    return name


@pytest.fixture(scope="module")
def base_image(docker: Docker) -> str:
    """The image that every other one begins with."""
    image = "debian:trixie-slim"
    if not docker("images", "--quiet", image):
        pytest.skip(f"no image {image}: make up or make test brings it")
    return image


def start(docker: Docker, run_id: str, image: str, stack: str, service: str = "web", command: str = "flask") -> str:
    """Start a container of a stack as a service's that has a command, and return its name."""
    labels = {**state.labels(stack), "scaffold.service": service, "scaffold.release": "r1", "scaffold.test": run_id}
    told = [f"--label={key}={value}" for key, value in labels.items()]
    name = f"scaffold-test-{stack}-{service}"
    docker("run", "--detach", "--init", "--name", name, *told, image, "sleep", "infinity")
    write = f"cat > /usr/local/bin/{command} <<'END'\n{ANSWERS}END\nchmod 755 /usr/local/bin/{command}"
    docker("exec", name, "sh", "-c", write)
    return name


@pytest.fixture
def flask(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """The verb, as somebody with a home of their own types it."""

    def run(stack: str, *words: str, said: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "STACK": stack}
        return subprocess.run(
            [sys.executable, "-m", "operate", "flask", *words],
            input=said, capture_output=True, timeout=60, check=False, cwd=ROOT, env=environment,
        )  # fmt: skip

    return run


Flask = Callable[..., subprocess.CompletedProcess[bytes]]


def test_words_input_output_and_exit_code_are_passed_on(flask: Flask, stack: str) -> None:
    done = flask(stack, "users", "add", "ada@example.org", "--name", "Ada Lovelace", said=b"a password\n")
    assert done.returncode == 7
    asked = b"asked: --app scaffold:create_app users add ada@example.org --name Ada Lovelace\n"
    assert done.stdout == asked + b"a password\n"
    assert done.stderr == b"for people\n"


def test_what_is_long_comes_whole_and_as_it_is(flask: Flask, stack: str) -> None:
    given = os.urandom(1 << 20)
    done = flask(stack, "take", said=given)
    assert done.stdout.partition(b"\n")[2] == given


def test_without_words_it_tells_which_there_are(flask: Flask, stack: str) -> None:
    assert flask(stack).stdout == b"asked: --app scaffold:create_app --help\n"


def test_a_command_that_wants_no_input_does_not_wait_for_its_end(stack: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "STACK": stack}
    with subprocess.Popen(
        [sys.executable, "-m", "operate", "flask", "quick"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment,
    ) as process:  # fmt: skip
        assert process.wait(30) == 0


def test_a_stack_that_is_not_there_and_one_that_stands_still_are_told_of(
    flask: Flask, docker: Docker, run_id: str, base_image: str
) -> None:
    absent = flask(f"absent-{run_id}", "users", "list")
    assert absent.returncode == 1
    assert absent.stdout == b""
    assert f"There are no containers of the stack absent-{run_id} here".encode() in absent.stderr
    still = f"still-{run_id}"
    docker("stop", "--time", "1", start(docker, run_id, base_image, still))
    done = flask(still, "users", "list")
    assert done.returncode == 1
    assert f"No web of the stack {still} runs in which a command could".encode() in done.stderr
    assert f"make up STACK={still} starts it".encode() in done.stderr


def test_a_release_that_the_stack_is_pinned_to_is_named_where_it_knows_no_such_command(
    flask: Flask, stack: str, tmp_path: Path
) -> None:
    plain = flask(stack, "unknown")
    assert plain.returncode == 2
    assert b"pinned" not in plain.stderr
    file = request_from("flask", [], {"HOME": str(tmp_path), "STACK": stack}).places.stack_file(stack)
    file.parent.mkdir(parents=True)
    file.write_text("config:\n  scaffold:release: abc123\n")
    done = flask(stack, "unknown")
    assert done.returncode == 2
    assert b"pinned to release abc123, which may not know this command yet" in done.stderr
    assert b"make unpin" in done.stderr


def container(status: str, *, service: str = "web", running: bool = True) -> Container:
    """A container of a stack."""
    return Container(status, status, service, "r1", running, status, ())


def test_a_healthy_app_is_asked_before_one_that_is_not_or_is_going() -> None:
    up, healthy, again = container("Up 2 seconds"), container("Up 5 minutes (healthy)"), container("Restarting (1)")
    assert choose([again, up, healthy], "dev", "web") is healthy
    assert choose([again, up], "dev", "web") is up
    with pytest.raises(Problem, match="No web of the stack dev runs"):
        choose([again, container("Exited (0)", running=False), container("Up", service="database")], "dev", "web")


def pod(name: str, phase: str = "Running", *, ready: bool = True, **meta: str) -> dict[str, Any]:
    """A pod of a stack's app."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "reason": "ContainersNotReady"}]
    labels = {"app.kubernetes.io/name": "web"}
    return {
        "metadata": {"name": name, "labels": labels, **meta},
        "spec": {"containers": [{"name": "web"}]},
        "status": {"phase": phase, "conditions": conditions},
    }


def test_a_ready_pod_that_stays_is_asked() -> None:
    leaving, late, good = pod("a", deletionTimestamp="2026-01-01T00:00:00Z"), pod("b", ready=False), pod("c")
    assert in_cluster.choose([leaving, late, good], "k8s", "scaffold-k8s", "web") is good
    with pytest.raises(Problem, match=r"No web of the stack k8s is ready.*pod b: ContainersNotReady"):
        in_cluster.choose([leaving, late], "k8s", "scaffold-k8s", "web")
    with pytest.raises(Problem, match="There are no pods of the stack k8s in namespace scaffold-k8s"):
        in_cluster.choose([], "k8s", "scaffold-k8s", "web")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection."""
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def test_one_that_is_silent_for_too_long_is_given_up(ends: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(TimeoutError):
        conversation.carry(ends[0], Frames(), 0.2)


def from_server(kind: int, content: bytes) -> bytes:
    """Return a message as a server sends it, without a mask."""
    assert len(content) < 126
    return bytes([0x80 | kind, len(content)]) + content


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ({"status": "Success"}, 0, ""),
        ({"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}, 7, ""),
        ({"status": "Failure", "message": "no such container"}, 1, "no such container"),
    ],
)
def test_a_command_in_a_pod_says_on_two_channels_what_it_says_and_on_a_third_how_it_ended(
    ends: tuple[socket.socket, socket.socket],
    capfdbinary: pytest.CaptureFixture[bytes],
    status: dict[str, Any],
    code: int,
    words: str,
) -> None:
    near, far = ends
    channels = commands.Channels(commands.CLOSING)
    said = [from_server(websocket.BINARY, bytes([number]) + text) for number, text in ((1, b"out"), (2, b"err"))]
    closing = [
        from_server(websocket.PING, b"there?"),
        from_server(websocket.BINARY, b"\x03" + json.dumps(status).encode()[:60]),
    ]
    rest = json.dumps(status).encode()[60:]
    closing += [from_server(websocket.BINARY, b"\x03" + rest)] if rest else []

    def serve() -> None:
        for message in (*said, *closing, from_server(websocket.CLOSE, b"\x03\xe8")):
            # In two parts, as a network may bring them.
            far.sendall(message[:3])
            far.sendall(message[3:])

    thread = threading.Thread(target=serve)
    thread.start()
    conversation.carry(near, channels, 10)
    thread.join(10)
    assert channels.exit_code() == (code, words)
    captured = capfdbinary.readouterr()
    assert (captured.out, captured.err) == (b"out", b"err")


def test_a_connection_that_ends_before_the_command_does_is_no_success() -> None:
    assert commands.Channels(commands.PLAIN).exit_code() == (1, "the connection ended before the command did")
