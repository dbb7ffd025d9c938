"""A gateway in a container, peers that can be killed, and clients: what the tests of the gateway act on."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watcher.exchange import Answer, exchange

from tests.conftest import LABEL, run_docker

STUB = Path(__file__).with_name("stub.py")
HOST = "site.test"
SITE_URL = f"http://{HOST}:8000"
SETTINGS: dict[str, Any] = {"site_url": SITE_URL, "read_timeout": 2}
PAGE = '<!doctype html><title>Away</title><h1>The tests\' page</h1><code><!--# echo var="request_id" --></code>'
HARDENED = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "256m",
    "--tmpfs", "/tmp:rw,noexec,nosuid,nodev,size=64m",
)  # fmt: skip


def eventually(condition: Callable[[], Any], timeout: float = 15, every: float = 0.02) -> Any:
    """Return what a condition returns as soon as that is true; fail when it is not within `timeout` seconds."""
    until = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, f"not within {timeout} s: {condition}"
        time.sleep(every)


@dataclass
class Container:
    """A container of this test run."""

    name: str
    network: str

    @property
    def address(self) -> str:
        """Its address on the test's network."""
        template = f'{{{{(index .NetworkSettings.Networks "{self.network}").IPAddress}}}}'
        return run_docker("inspect", "-f", template, self.name)

    @property
    def pid(self) -> int:
        """Process 1's number on the host."""
        return int(run_docker("inspect", "-f", "{{.State.Pid}}", self.name))

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return run_docker("inspect", "-f", "{{.State.Running}}", self.name) == "true"

    def kill(self) -> None:
        """Crash it: SIGKILL to its process, which `docker kill` is not (that suppresses the restart policy)."""
        os.kill(self.pid, signal.SIGKILL)

    def crash(self) -> None:
        """Crash it, and wait until it is seen to be down."""
        self.kill()
        eventually(lambda: not self.running)

    def remove(self) -> None:
        """Remove it with its anonymous volumes."""
        run_docker("rm", "-fv", self.name)


@dataclass
class Gateway(Container):
    """The gateway under test."""

    volume: str = ""
    answers: dict[str, int] = field(default_factory=dict)
    known_address: str = ""

    @property
    def target(self) -> str:
        """Its address, asked for once for each start."""
        if not self.known_address:
            self.known_address = self.address
        return self.known_address

    def control(self, method: str, path: str, document: object = None) -> Answer:
        """Ask the control on its unix socket."""
        mount = run_docker("volume", "inspect", "-f", "{{.Mountpoint}}", self.volume)
        body = b"" if document is None else json.dumps(document).encode()
        return exchange(Path(mount) / "control.sock", method, path, body=body, timeout=40)

    def status(self) -> Any:
        """What the control says is in use."""
        return self.control("GET", "/status").document()

    def apply(self, settings: Mapping[str, Any] | str = SETTINGS, page: str = PAGE) -> Answer:
        """Give it settings and a page."""
        text = settings if isinstance(settings, str) else json.dumps(settings)
        return self.control("PUT", "/files", {"maintenance.html": page, "gateway.json": text})

    def use(self, release: str, *peers: str) -> Answer:
        """Send requests to these peers."""
        return self.control("PUT", "/upstream", {"release": release, "peers": list(peers)})

    def ask(
        self,
        path: str = "/",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        host: str = HOST,
        timeout: float = 10,
    ) -> Reply:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection(self.target, 8080, timeout=timeout)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": host, **(headers or {})}.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            lists: dict[str, list[str]] = {}
            for name, value in response.getheaders():
                lists.setdefault(name.lower(), []).append(value)
            return Reply(response.status, lists, response.read())
        finally:
            connection.close()

    def raw(self, data: bytes, timeout: float = 5) -> bytes:
        """Send bytes and return what comes until the other side closes or `timeout` seconds pass in silence."""
        with socket.create_connection((self.target, 8080), timeout) as connection:
            connection.sendall(data)
            found = b""
            try:
                while piece := connection.recv(65536):
                    found += piece
            except (TimeoutError, ConnectionResetError):
                pass
            return found

    def is_serving(self) -> bool:
        """Whether its own health path answers."""
        try:
            return self.ask("/gateway/healthz", timeout=2).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def log(self) -> list[dict[str, Any]]:
        """Every line of its log; each must be JSON."""
        return [json.loads(line) for line in run_docker("logs", self.name).splitlines()]

    def complaints(self) -> list[dict[str, Any]]:
        """What it logged that is worse than information."""
        return [entry for entry in self.log() if entry["level"] != "info"]

    def processes(self) -> list[tuple[int, str]]:
        """Host number and title of each process in it."""
        found = []
        for number in run_docker("top", self.name, "-o", "pid").split()[1:]:
            try:
                title = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue
            found.append((int(number), title))
        return found


@dataclass(frozen=True)
class Reply:
    """What a client saw."""

    status: int
    headers: Mapping[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The one header of that name, or None; fails when it came twice."""
        found = self.headers.get(name.lower(), [])
        assert len(found) <= 1, f"{name} came {len(found)} times"
        return found[0] if found else None

    def document(self) -> Any:
        """The JSON in the body."""
        return json.loads(self.body)

    def seen(self) -> dict[str, str]:
        """The headers that the stub peer says it got, by lower-case name; fails when one came twice."""
        names = [name.lower() for name, _ in self.document()["headers"]]
        assert len(names) == len(set(names)), names
        return {name.lower(): value for name, value in self.document()["headers"]}


@dataclass
class Stage:
    """One test run's network, and what is started on it."""

    run_id: str
    image: str
    network: str

    def name(self, purpose: str) -> str:
        """A name that is nobody else's."""
        return f"gwtest-{self.run_id}-{purpose}-{uuid.uuid4().hex[:6]}"

    def label(self) -> tuple[str, str]:
        """The label that has it removed in the end."""
        return "--label", f"{LABEL}={self.run_id}"

    def gateway(self, *options: str, settings: Mapping[str, Any] | None = SETTINGS) -> Gateway:
        """Start a gateway on a fresh volume, hardened as in production, and apply settings."""
        volume, name = self.name("volume"), self.name("gateway")
        run_docker("volume", "create", *self.label(), volume)
        run_docker(
            "run", "-d", "--name", name, *self.label(), "--network", self.network, "--network-alias", name,
            *HARDENED, "-v", f"{volume}:/var/lib/gateway", *options, self.image,
        )  # fmt: skip
        made = Gateway(name, self.network, volume)
        eventually(made.is_serving)
        eventually(lambda: control_answers(made))
        if settings is not None:
            assert made.apply(settings).status == 200
        return made

    def peer(self, release: str, alias: str = "", **variables: str) -> Container:
        """Start a stub peer; its alias (else its name) resolves on the network."""
        name = self.name(f"peer-{release}")
        run_docker(
            "run", "-d", "--name", name, *self.label(), "--network", self.network, "--network-alias", alias or name,
            "-e", f"RELEASE={release}", *(f"-e{key}={value}" for key, value in variables.items()),
            "-v", f"{STUB}:/stub.py:ro", self.image, "python3", "/stub.py",
        )  # fmt: skip
        made = Container(name, self.network)
        if "START_DELAY" not in variables:
            eventually(lambda: "listening" in run_docker("logs", name))
        return made

    def job(self, gateway: Gateway, *command: str, **variables: str) -> tuple[int, str]:
        """Run a one-shot in the gateway's image with its volume; return the exit status and the log."""
        name = self.name("job")
        run_docker(
            "run", "--name", name, *self.label(), "--network", self.network, *HARDENED,
            "-v", f"{gateway.volume}:/var/lib/gateway", *(f"-e{key}={value}" for key, value in variables.items()),
            self.image, "python3", "-m", "watcher", *command, check=False,
        )  # fmt: skip
        status = int(run_docker("inspect", "-f", "{{.State.ExitCode}}", name))
        log = run_docker("logs", name)
        run_docker("rm", "-fv", name)
        return status, log


def control_answers(gateway: Gateway) -> bool:
    """Whether the control answers."""
    try:
        return gateway.control("GET", "/status").status == 200
    except OSError:
        return False
