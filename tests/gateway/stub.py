"""A peer that does what its path says: answers, hangs, resets, crawls. Runs in a container, on a minimal Python."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import struct
import threading
import time
from urllib.parse import parse_qs, urlsplit

RELEASE = os.environ.get("RELEASE", "")
READY = os.environ.get("READY", "yes")
counts: dict[str, int] = {}
lock = threading.Lock()


def reset(connection: socket.socket) -> None:
    """Close with a reset instead of a farewell."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def answer(connection: socket.socket, status: str, body: bytes, kind: str = "application/json", more: str = "") -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    connection.sendall(head.encode() + body)


def serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    with contextlib.suppress(OSError), connection:
        while True:
            while b"\r\n\r\n" not in data:
                piece = connection.recv(65536)
                if not piece:
                    return
                data += piece
            head, _, data = data.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ", 2)
            headers = [line.split(": ", 1) if ": " in line else [line.rstrip(":"), ""] for line in lines]
            named = {name.lower(): value for name, value in headers}
            length = int(named.get("content-length", "0"))
            received = bytearray(data)
            while len(received) < length:
                piece = connection.recv(1 << 20)
                if not piece:
                    return
                received += piece
            body, data = bytes(received[:length]), bytes(received[length:])
            with lock:
                key = f"{method} {urlsplit(target).path}"
                counts[key] = counts.get(key, 0) + 1
            act(connection, method, target, headers, body)


def act(connection: socket.socket, method: str, target: str, headers: list[list[str]], body: bytes) -> None:
    parts = urlsplit(target)
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    named = {name.lower(): value for name, value in headers}
    match parts.path:
        case "/readyz" if READY == "no":
            answer(connection, "503 Service Unavailable", b'{"status":"unavailable","reason":"database"}')
        case "/readyz" if READY == "absent":
            answer(connection, "404 Not Found", b"<h1>Not Found</h1>", "text/html")
        case "/readyz":
            answer(connection, "200 OK", json.dumps({"status": "ready", "release": RELEASE}).encode())
        case "/counts":
            answer(connection, "200 OK", json.dumps(counts).encode())
        case "/hang":
            time.sleep(3600)
        case "/slow":
            time.sleep(float(asked["seconds"]))
            answer(connection, "200 OK", json.dumps({"release": RELEASE}).encode())
        case "/crawl":
            for letter in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"s" * 3600:
                connection.sendall(bytes([letter]))
                time.sleep(0.5)
        case "/reset":
            reset(connection)
        case "/reset-mid-body":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nonly the beginning")
            time.sleep(0.1)
            reset(connection)
        case "/accel":
            answer(connection, "200 OK", b"{}", more="X-Accel-Redirect: /.gateway/unavailable\r\n")
        case "/error":
            answer(connection, "500 Internal Server Error", b'{"error":"the app\'s own"}')
        case "/unavailable":
            answer(connection, "503 Service Unavailable", b'{"error":"the app\'s own 503"}', more="Retry-After: 7\r\n")
        case "/big":
            answer(connection, "200 OK", b"x" * int(asked["size"]), "text/plain")
        case "/websocket" if named.get("upgrade") == "websocket" and "upgrade" in named.get("connection", "").lower():
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello"
            )
            while piece := connection.recv(4096):
                connection.sendall(piece.upper())
        case _:
            told = {
                "release": RELEASE,
                "peer": socket.gethostname(),
                "method": method,
                "target": target,
                "headers": headers,
                "length": len(body),
                "digest": hashlib.sha256(body).hexdigest(),
            }
            text = json.dumps(told).encode()
            more = "X-Request-ID: the-app-s-own\r\nStrict-Transport-Security: max-age=1\r\n"
            if method == "HEAD":
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n{more}\r\n".encode())
            else:
                answer(connection, "200 OK", text, more=more)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.stack_size(256 * 1024)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    time.sleep(float(os.environ.get("START_DELAY", "0")))
    listening.bind(("0.0.0.0", 8000))  # noqa: S104
    listening.listen(1024)
    print(json.dumps({"event": "listening", "release": RELEASE}), flush=True)
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
