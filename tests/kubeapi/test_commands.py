"""Commands in a pod of a real cluster: what they are given, say, and end with."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from kubeapi import commands
from kubeapi.client import Client
from kubeapi.commands import Channels
from kubeapi.errors import ApiError
from tests.kubernetes.cluster import RunningCluster
from tests.offline.kubernetes_stage import sleeper

SECONDS = 90.0


@pytest.fixture(scope="module")
def pod(client: Client, cluster: RunningCluster, namespace: str) -> Iterator[str]:
    """A pod that runs."""
    image, path = sleeper(cluster.registry), f"/api/v1/namespaces/{namespace}/pods"
    one = {"name": "main", "image": image, "command": ["sleep", "600"]}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [one]}
    client.post(path, {"metadata": {"name": "commands"}, "spec": spec})
    deadline = time.monotonic() + SECONDS
    while client.get(f"{path}/commands")["status"].get("phase") != "Running":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield "commands"
    client.delete(f"{path}/commands")


def ran(
    client: Client, namespace: str, pod: str, *command: str, given: bytes = b""
) -> tuple[Channels, dict[int, bytes]]:
    """Run a command to its end, and return its channels and what it said on each."""
    said = {commands.STDOUT: b"", commands.STDERR: b""}
    with commands.begun(client, namespace, pod, "main", command) as (connection, channels):
        connection.sendall(channels.given(given) if given else b"")
        connection.sendall(channels.given_all())
        connection.settimeout(30)
        while not channels.over and (data := received(connection)):
            for stream, words in channels.taken(data):
                said[stream] += words
    return channels, said


def received(connection: socket.socket) -> bytes:
    """Return what comes next."""
    return connection.recv(65_536)


def test_what_it_says_comes_on_two_channels_and_its_exit_code_after(client: Client, namespace: str, pod: str) -> None:
    channels, said = ran(client, namespace, pod, "sh", "-c", 'echo "one $1"; echo two >&2; exit 7', "sh", "word & word")
    assert said == {commands.STDOUT: b"one word & word\n", commands.STDERR: b"two\n"}
    assert channels.exit_code() == (7, "")


def test_its_input_comes_whole_and_ends(client: Client, namespace: str, pod: str) -> None:
    given = bytes(range(256)) * 1024
    channels, said = ran(client, namespace, pod, "cat", given=given)
    assert channels.protocol == commands.CLOSING
    assert said[commands.STDOUT] == given
    assert channels.exit_code() == (0, "")


def test_a_program_or_a_pod_that_is_not_there_is_told_of(client: Client, namespace: str, pod: str) -> None:
    channels, _ = ran(client, namespace, pod, "no-such-program")
    code, words = channels.exit_code()
    assert code != 0
    assert "no-such-program" in words or code in (126, 127)
    with pytest.raises(ApiError) as refused:
        ran(client, namespace, "no-such-pod", "true")
    assert refused.value.gone
