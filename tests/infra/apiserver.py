"""An API server on this machine that knows what a test tells it, and takes everything else for rolled out and done."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Live = dict[str, Any]

STATUS: dict[str, Live] = {
    "deployments": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
    "statefulsets": {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1},
    "jobs": {"conditions": [{"type": "Complete", "status": "True"}]},
}
GONE = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "there is no such object"}


class ApiServer:
    """Answers as a cluster's API does; `objects` are answers by path, None for what is not there.

    `answers` are made anew each time, with their status; `release` is what serves behind the gateway.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Live | str | None] = {
            "/api/v1/namespaces/kube-system": {"metadata": {"name": "kube-system", "uid": "of-the-cluster"}}
        }
        self.answers: dict[str, Callable[[], tuple[int, Live]]] = {}
        self.release = ""
        self.asked: list[str] = []
        self.deleted: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, folder: Path) -> Path:
        """Write the kubeconfig that names it."""
        path = folder / "kubeconfig"
        named = {
            "clusters": [{"name": "it", "cluster": {"server": self.address}}],
            "users": [{"name": "me", "user": {"token": "let-me-in"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
            "current-context": "it",
        }
        path.write_text(json.dumps(named))
        return path

    def answer(self, path: str, query: Mapping[str, list[str]]) -> tuple[int, Live | str]:
        """Return a status and what is answered to a GET."""
        if path in self.answers:
            return self.answers[path]()
        if path.endswith("/proxy/readyz"):
            return 200, {"release": self.release, "status": "ready"}
        if path in self.objects:
            found = self.objects[path]
            return (404, GONE) if found is None else (200, found)
        plural, _, name = path.rpartition("/")
        kind = plural.rpartition("/")[2]
        if kind in STATUS:
            return 200, rolled_out(kind, name)
        if query or name in ("pods", "replicasets"):
            return 200, {"items": []}
        return 404, GONE


def rolled_out(kind: str, name: str) -> Live:
    """Return an object with which everything is well."""
    status = {"observedGeneration": 1, **STATUS[kind]}
    return {"metadata": {"name": name, "generation": 1}, "spec": {"replicas": 1}, "status": status}


def handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    """Return the class that answers one connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            place = urlsplit(self.path)
            server.asked.append(place.path)
            self.say(*server.answer(place.path, parse_qs(place.query)))

        def do_DELETE(self) -> None:
            path = urlsplit(self.path).path
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if path in server.deleted:
                self.say(404, GONE)
                return
            server.deleted.append(path)
            self.say(200, {"kind": "Status", "status": "Success"})

        def say(self, status: int, answer: Live | str) -> None:
            body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
