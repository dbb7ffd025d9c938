"""Between a client and an S3 server, over TLS on both sides: spoils requests and answers as a file beside says.

Started as `python proxy.py PORT UPSTREAM_PORT CERTIFICATE KEY FAULTS`. FAULTS is read for every request: JSON with
`errors` (how many requests are answered 500 before any is let through), `cut_part` (the connection ends in the middle
of this part's body), `slow` (seconds before each answer), `spoil` (a bit of every dump that is read back is flipped),
`refuse` (methods that are answered 403).
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PASSED_ON = ("connection", "transfer-encoding", "keep-alive")


class Proxy(BaseHTTPRequestHandler):
    """Passes a request on, or does to it what the faults ask for."""

    protocol_version = "HTTP/1.1"
    answered = ("", 0)
    lock = threading.Lock()

    def pass_on(self) -> None:
        """Handle one request."""
        text = Path(sys.argv[5]).read_text()
        faults = json.loads(text)
        part = parse_qs(urlsplit(self.path).query).get("partNumber", ["0"])[0]
        length = int(self.headers.get("Content-Length") or 0)
        if self.command == "PUT" and int(part) == faults.get("cut_part", -1):
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(length)
        with Proxy.lock:
            # Counted anew with every change of the file.
            count = Proxy.answered[1] + 1 if Proxy.answered[0] == text else 1
            Proxy.answered = (text, count)
            failing = count <= faults.get("errors", 0)
        time.sleep(faults.get("slow", 0))
        if failing or self.command in faults.get("refuse", ()):
            code, name = (500, "InternalError") if failing else (403, "AccessDenied")
            self.answer(code, [], f"<Error><Code>{name}</Code><Message>as asked</Message></Error>".encode())
            return
        upstream = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[2]), context=trusting(), timeout=60)
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("expect", *PASSED_ON)}
        upstream.request(self.command, self.path, body or None, headers)
        got = upstream.getresponse()
        content = got.read()
        # What a client sends is signed, so a server refuses it when it is spoilt; what is kept may still rot.
        if faults.get("spoil") and self.command == "GET" and "database.dump" in self.path and content:
            content = bytes([content[0] ^ 1]) + content[1:]
        self.answer(got.status, got.getheaders(), content)
        upstream.close()

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        """Send an answer."""
        self.send_response_only(status)
        for key, value in headers:
            if key.lower() not in (*PASSED_ON, "content-length"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def trusting() -> ssl.SSLContext:
    """The server behind is in the same container."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def main() -> None:
    """Serve until killed."""
    server = ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Proxy)  # noqa: S104 - in a container's own network
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
