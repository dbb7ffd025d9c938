"""The daemon is found where Docker's own variables say, and talked to without its command line."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from setup.daemon import Daemon, DaemonError, Endpoint, connectable, endpoint_from
from setup.problem import Problem

HERE = Daemon(Endpoint(socket="/var/run/docker.sock"))


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({}, Endpoint(socket="/var/run/docker.sock")),
        ({"DOCKER_HOST": "unix:///tmp/d.sock"}, Endpoint(socket="/tmp/d.sock")),
        ({"DOCKER_HOST": "tcp://far:1234"}, Endpoint(host="far", port=1234)),
        ({"DOCKER_HOST": "tcp://far"}, Endpoint(host="far", port=2375)),
        (
            {"DOCKER_HOST": "tcp://far", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"},
            Endpoint(host="far", port=2376, certificates="/certs"),
        ),
    ],
)
def test_the_endpoint_is_what_dockers_variables_name(environment: dict[str, str], endpoint: Endpoint) -> None:
    assert endpoint_from(environment) == endpoint


def test_an_address_that_cannot_be_used_is_refused_with_the_way_out() -> None:
    with pytest.raises(Problem) as refused:
        endpoint_from({"DOCKER_HOST": "ssh://far"})
    assert "'ssh://far'" in refused.value.cause
    assert "unset DOCKER_HOST" in refused.value.fix


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[tuple[Endpoint, list[bytes]]]:
    """A daemon that gives one answer, which a test puts first into the list."""
    path, answers = tmp_path / "d.sock", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answers[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Endpoint(socket=str(path)), answers
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_a_daemon_that_answers_runs_and_one_that_does_not_is_away(
    answering: tuple[Endpoint, list[bytes]], tmp_path: Path
) -> None:
    assert connectable(answering[0]) == "running"
    assert connectable(Endpoint(socket=str(tmp_path / "absent.sock"))) == "away"
    answering[1][0] = b"nonsense\r\n"
    assert connectable(answering[0]) == "away"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user for the test")
def test_a_socket_that_this_user_may_not_open_is_told_from_one_that_is_away(
    answering: tuple[Endpoint, list[bytes]], tmp_path: Path
) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith("pytest-of-") or folder.is_relative_to("/tmp/pytest-of-root"):
            folder.chmod(0o755)
    Path(answering[0].socket).chmod(0o600)
    os.seteuid(65534)
    try:
        assert connectable(answering[0]) == "forbidden"
    finally:
        os.seteuid(0)


def test_a_refusal_carries_the_daemons_words(answering: tuple[Endpoint, list[bytes]]) -> None:
    body = json.dumps({"message": "no such thing"}).encode()
    answering[1][0] = b"HTTP/1.1 409 Conflict\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with pytest.raises(DaemonError, match="no such thing") as refused:
        Daemon(answering[0]).get("/x")
    assert refused.value.status == 409


def test_an_error_in_a_stream_of_progress_is_raised(answering: tuple[Endpoint, list[bytes]]) -> None:
    body = b'{"status":"pulling"}\n{"error":"no space left"}\n'
    answering[1][0] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    told = Daemon(answering[0]).stream("/images/create")
    assert next(told) == {"status": "pulling"}
    with pytest.raises(DaemonError, match="no space left"):
        next(told)


def test_objects_are_found_by_all_of_their_labels(docker: Any, run_id: str) -> None:
    labels = ("--label", f"scaffold.test={run_id}", "--label", f"setup-test={run_id}")
    network = docker("network", "create", *labels, f"setup-{run_id}")
    volume = docker("volume", "create", *labels, f"setup-{run_id}")
    container = docker("create", *labels, "--name", f"setup-{run_id}", "debian:trixie-slim", "true")
    docker("create", "--label", f"scaffold.test={run_id}", "debian:trixie-slim", "true")
    wanted = {"scaffold.test": run_id, "setup-test": run_id}
    assert [row["Id"] for row in HERE.labelled("networks", wanted)] == [network]
    assert [row["Name"] for row in HERE.labelled("volumes", wanted)] == [volume]
    assert [row["Id"] for row in HERE.labelled("containers", wanted)] == [container]
    HERE.delete(f"/containers/{container}", force="1")
    HERE.delete(f"/containers/{container}", force="1")
    assert not HERE.exists(f"/containers/{container}/json")
