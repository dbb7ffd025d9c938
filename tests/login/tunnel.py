"""A proxy for programs that know no other way to a name: whatever host they want, they are led to one port here."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PIECE, PATIENCE = 65536, 30


class Leading(socketserver.StreamRequestHandler):
    """Answers CONNECT, and then passes on what either side says."""

    server: Tunnel

    def handle(self) -> None:
        """Lead one connection."""
        asked = self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        if not asked.startswith(b"CONNECT "):
            self.wfile.write(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self.server.there), PATIENCE) as there:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            with contextlib.suppress(OSError):
                pass_on(self.connection, there)


class Tunnel(socketserver.ThreadingTCPServer):
    """The proxy, in threads that end with the process."""

    daemon_threads = True

    def __init__(self, there: int) -> None:
        super().__init__(("127.0.0.1", 0), Leading)
        self.there = there

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


def pass_on(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either side says until one of them says no more."""
    while True:
        ready, _, _ = select.select([one, other], [], [], PATIENCE)
        if not ready:
            return
        for side in ready:
            said = side.recv(PIECE)
            if not said:
                return
            (other if side is one else one).sendall(said)


@contextmanager
def leading_to(port: int) -> Iterator[str]:
    """Return the address of a proxy that leads to a port of this machine."""
    with Tunnel(port) as tunnel:
        threading.Thread(target=tunnel.serve_forever, daemon=True).start()
        try:
            yield tunnel.url
        finally:
            tunnel.shutdown()
