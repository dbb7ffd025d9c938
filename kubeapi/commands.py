"""A command in a container of a pod, over one connection that has a channel for each of its streams."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Sequence
from urllib.parse import quote, urlencode

from kubeapi import websocket
from kubeapi.client import Client
from kubeapi.errors import UnreachableError

# The newer one can say that the input has ended.
CLOSING, PLAIN = "v5.channel.k8s.io", "v4.channel.k8s.io"
STDIN, STDOUT, STDERR, STATUS, CLOSED = 0, 1, 2, 3, 255
BEGIN_SECONDS = 30.0
NOT_KNOWN = 1


class Channels:
    """The streams of a command that runs: what is sent for them, and what came of them."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.messages = websocket.Messages()
        self.status = b""
        self.over = False
        self._answer = b""

    def given(self, data: bytes) -> bytes:
        """Return what is sent to give the command some input."""
        return websocket.message(websocket.BINARY, bytes([STDIN]) + data)

    def given_all(self) -> bytes:
        """Return what is sent to say that there is no more; nothing to a server that knows no such word."""
        return websocket.message(websocket.BINARY, bytes([CLOSED, STDIN])) if self.protocol == CLOSING else b""

    def taken(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Return what the command said, each with the number of its stream."""
        for kind, content in self.messages.of(data):
            if kind == websocket.CLOSE:
                self.over = True
                self._answer += websocket.message(websocket.CLOSE, content)
            elif kind == websocket.PING:
                self._answer += websocket.message(websocket.PONG, content)
            elif content[:1] in (bytes([STDOUT]), bytes([STDERR])):
                yield content[0], content[1:]
            elif content[:1] == bytes([STATUS]):
                self.status += content[1:]

    @property
    def answer(self) -> bytes:
        """What the server wants to be sent now, once."""
        answer, self._answer = self._answer, b""
        return answer

    def exit_code(self) -> tuple[int, str]:
        """Return the command's exit code, and what the cluster says of one that could not be run."""
        try:
            status = json.loads(self.status)
        except ValueError:
            return NOT_KNOWN, "the connection ended before the command did"
        if status.get("status") == "Success":
            return 0, ""
        for cause in (status.get("details") or {}).get("causes") or []:
            if cause.get("reason") == "ExitCode":
                return int(cause["message"]), ""
        return NOT_KNOWN, str(status.get("message") or "the cluster does not say how it ended")


@contextlib.contextmanager
def begun(
    client: Client, namespace: str, pod: str, container: str, command: Sequence[str], seconds: float = BEGIN_SECONDS
) -> Iterator[tuple[socket.socket, Channels]]:
    """Begin a command and yield the connection and its channels; raise as `Client.get` does."""
    asked = [("container", container), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
    asked += [("command", word) for word in command]
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/exec?{urlencode(asked)}"
    key = websocket.new_key()
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Protocol": f"{CLOSING}, {PLAIN}",
    }
    with client.upgraded(path, headers, seconds) as (connection, told):
        protocol = told.get("Sec-WebSocket-Protocol", "")
        if told.get("Sec-WebSocket-Accept") != websocket.answer_to(key) or protocol not in (CLOSING, PLAIN):
            raise UnreachableError(
                f"what answers at {client.access.server} does not let commands be run over WebSocket"
            )
        yield connection, Channels(protocol)
