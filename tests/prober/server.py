"""A server that misbehaves as it is asked to, by the path."""

from __future__ import annotations

import hashlib
import json
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prober.target import Target
from prober.work import pattern

PAGE = b"<p>Ask operations@example.com</p>"


@dataclass
class Served:
    """What the server did."""

    port: int
    requests: Counter[str] = field(default_factory=Counter)
    posts: Counter[int] = field(default_factory=Counter)

    @property
    def target(self) -> Target:
        """Where it is."""
        return Target("127.0.0.1", self.port, f"localhost:{self.port}")


def answer(status: str, body: bytes, *headers: str) -> bytes:
    """Return an answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def document(**values: object) -> bytes:
    """Return an answer in JSON."""
    return answer("200 OK", json.dumps(values).encode(), "Content-Type: application/json")


def reset(connection: socket.socket) -> None:
    """End a connection as a killed process does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Misbehaving(socketserver.StreamRequestHandler):
    """One connection, with a count of its requests."""

    def handle(self) -> None:
        """Answer until either side has enough."""
        self.turn = 0
        try:
            while self.one():
                pass
        except OSError:
            pass

    def one(self) -> bool:
        """Answer one request; return whether the connection goes on."""
        first = self.rfile.readline().decode().split()
        if not first:
            return False
        self.turn += 1
        headers = {}
        while (line := self.rfile.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        served: Served = self.server.served  # type: ignore[attr-defined]
        path = first[1].partition("?")[0]
        served.requests[path] += 1
        goes_on = self.act(path, body, served)
        return goes_on and headers.get("connection") != "close"

    def act(self, path: str, body: bytes, served: Served) -> bool:
        """Do what the path asks for."""
        match path:
            case "/closes":
                return False
            case "/closes-the-second" if self.turn == 2:
                return False
            case "/resets":
                reset(self.connection)
                return False
            case "/half":
                self.connection.sendall(answer("200 OK", b"x" * 100)[:-50])
                return False
            case "/half-a-head":
                self.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
                return False
            case "/resets-halfway":
                self.connection.sendall(answer("200 OK", b"x" * 100)[:-50])
                time.sleep(0.05)
                reset(self.connection)
                return False
            case "/garbage":
                self.connection.sendall(b"what is it\r\n\r\n")
            case "/silent":
                time.sleep(2)
            case "/slow":
                time.sleep(0.3)
                self.connection.sendall(document(release="slow"))
            case "/bare-503":
                self.connection.sendall(answer("503 Service Unavailable", PAGE))
            case "/page":
                self.connection.sendall(
                    answer("503 Service Unavailable", PAGE, "Retry-After: 30", "Cache-Control: no-store")
                )
            case "/refuses":
                self.connection.sendall(answer("500 Internal Server Error", b"broken"))
            case "/leaves-when-idle":
                self.connection.sendall(document(release="one"))
                time.sleep(0.05)
                return False
            case "/resets-when-idle":
                self.connection.sendall(document(release="one"))
                time.sleep(0.05)
                reset(self.connection)
                return False
            case "/says-it-closes":
                self.connection.sendall(answer("200 OK", b"{}", "Connection: close"))
                return False
            case "/download":
                self.connection.sendall(answer("200 OK", pattern(1000), "Probe-Release: header"))
            case "/another-download":
                self.connection.sendall(answer("200 OK", pattern(999)))
            case "/upload":
                self.connection.sendall(document(sha256=hashlib.sha256(body).hexdigest()))
            case "/another-upload":
                self.connection.sendall(document(sha256=hashlib.sha256(body[1:]).hexdigest()))
            case "/post":
                served.posts[json.loads(body)["number"]] += 1
                self.connection.sendall(document(release="one"))
            case _:
                self.connection.sendall(document(release="one"))
        return True


class Threads(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 256


@contextmanager
def serving() -> Iterator[Served]:
    """Serve for the block."""
    with Threads(("127.0.0.1", 0), Misbehaving) as server:
        served = Served(server.server_address[1])
        server.served = served  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield served
        finally:
            server.shutdown()
