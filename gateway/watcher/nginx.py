"""Nginx as a child process: started, tested, reloaded, ended, and told which addresses serve.

The watcher owns the listening sockets and hands them down. A master that was killed leaves workers that still answer;
a new master takes the same sockets over and the orphans are asked to finish, so that not even then a connection is
refused.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from watcher import errorlog
from watcher.exchange import ExchangeError, exchange
from watcher.layout import Layout

BINARY = "/usr/sbin/nginx"
PORT = 8080
BACKLOG = 511
RELOAD_FAREWELL = 5.0
"""Seconds; a request that takes longer ends on a connection that closes without having said so."""


class NginxError(RuntimeError):
    """Nginx did not do what it was asked; the message has its words."""


def listeners() -> list[tuple[str, socket.socket]]:
    """Return the public sockets, each with the words of its listen directive; IPv6 only where the kernel has it."""
    found = [(f"0.0.0.0:{PORT}", bound(socket.AF_INET, ("0.0.0.0", PORT)))]  # noqa: S104 - it is the gateway
    with contextlib.suppress(OSError):
        found.append((f"[::]:{PORT}", bound(socket.AF_INET6, ("::", PORT))))
    return found


def bound(family: socket.AddressFamily, address: tuple[str, int] | str) -> socket.socket:
    """Return a listening socket; raise OSError."""
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


class Nginx:
    """The one Nginx of this container."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._sockets: list[socket.socket] = []
        self._master: subprocess.Popen[bytes] | None = None
        self.children = threading.Lock()  # held while a child of ours must not be reaped by anybody else

    def open_sockets(self) -> tuple[str, ...]:
        """Listen, so that a connection waits for Nginx and is not refused; return the listen directives' words."""
        public = listeners()
        self._layout.nginx_socket.unlink(missing_ok=True)
        own = bound(socket.AF_UNIX, str(self._layout.nginx_socket))
        self._layout.nginx_socket.chmod(0o600)
        self._sockets = [*(made for _, made in public), own]
        return tuple(words for words, _ in public)

    def close_sockets(self) -> None:
        """Refuse connections from now on, as far as the watcher is concerned."""
        for made in self._sockets:
            made.close()
        self._sockets = []

    def test(self, configuration: Path) -> None:
        """Ask Nginx whether it would take a configuration; raise NginxError with its words."""
        command = [BINARY, "-t", "-q", "-c", str(configuration)]
        with self.children:
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, errors="replace", timeout=20, check=False, env={}
                )
            except subprocess.TimeoutExpired as error:
                raise NginxError(f"nginx -t gave no answer within {error.timeout:g} s") from error
        if done.returncode != 0:
            raise NginxError(said(done.stderr) or f"nginx -t ended with status {done.returncode}")

    def start(self) -> None:
        """Start the master on the sockets that are open."""
        numbers = [made.fileno() for made in self._sockets]
        reading, writing = os.pipe()
        environment = {"NGINX": "".join(f"{number};" for number in numbers)}
        try:
            with self.children:
                self._master = subprocess.Popen(
                    [BINARY, "-c", str(self._layout.configuration)],
                    stdin=subprocess.DEVNULL, stderr=writing, pass_fds=numbers, env=environment,
                )  # fmt: skip
        finally:
            os.close(writing)
        threading.Thread(target=follow_and_close, args=(reading,), name="errorlog", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """The master's process number, while it lives."""
        return self._master.pid if self._master and self._master.poll() is None else None

    def ended(self) -> int | None:
        """Return the master's exit status when it has ended."""
        return self._master.poll() if self._master else None

    def await_configuration(self, digest: str, timeout: float, former: frozenset[int] = frozenset()) -> None:
        """Wait until Nginx answers with a configuration and no former worker takes requests; raise NginxError."""
        until = time.monotonic() + timeout
        words = ""
        while time.monotonic() < until:
            if self.pid is None:
                raise NginxError(f"nginx ended with status {self.ended()}")
            try:
                answer = exchange(self._layout.nginx_socket, "GET", "/configuration", timeout=1)
                words = answer.body.decode("latin-1")
            except ExchangeError as error:
                words = str(error)
            if words == digest and not (former & self.workers()):
                return
            time.sleep(0.02)
        raise NginxError(f"nginx did not take the configuration within {timeout:g} s (it answers {words!r})")

    def reload(self, digest: str, timeout: float = 10) -> None:
        """Have the configuration read again, and wait until only new workers take requests; raise NginxError.

        A worker that ends closes the connections that its clients keep open, also one on which a request is on its way.
        So they are given up first, each with an answer that says so, for some seconds, or until there are none.
        """
        with contextlib.suppress(NginxError):
            until = time.monotonic() + RELOAD_FAREWELL
            while self.take_leave() > 0 and time.monotonic() < until:
                time.sleep(0.05)
        former = self.workers()
        self.send(signal.SIGHUP)
        self.await_configuration(digest, timeout, former)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the master, where there is one."""
        if self._master and self._master.poll() is None:
            self._master.send_signal(number)

    def workers(self) -> frozenset[int]:
        """Return the master's workers that still take connections."""
        master = self.pid
        return frozenset(pid for pid, parent, title in processes() if parent == master and "shutting down" not in title)

    def orphans(self) -> list[int]:
        """Return workers whose master was killed."""
        master = self.pid
        return [pid for pid, parent, _ in processes() if master not in (pid, parent)]

    def retire_orphans(self) -> None:
        """Ask workers without a master to finish."""
        for pid in self.orphans():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)

    def reap_orphans(self) -> None:
        """Collect processes that were left to process 1; the watcher's own children are left to their owner."""
        if not self.children.acquire(blocking=False):
            return
        try:
            while True:
                try:
                    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                except ChildProcessError:
                    return
                if found is None or (self._master and found.si_pid == self._master.pid):
                    return
                os.waitpid(found.si_pid, 0)
        finally:
            self.children.release()

    def put_peers(self, text: str) -> None:
        """Tell every worker which addresses serve, and wait until they know; raise NginxError."""
        self._put("/peers", text, "the addresses")

    def put_flag(self, text: str) -> None:
        """Tell every worker whether a maintenance is on, and wait until they know; raise NginxError."""
        self._put("/flag", text, "the maintenance")

    def _put(self, path: str, text: str, what: str) -> None:
        try:
            answer = exchange(self._layout.nginx_socket, "PUT", path, body=text.encode(), timeout=3)
        except ExchangeError as error:
            raise NginxError(f"nginx was not told {what}: {error}") from error
        if answer.status != 200 or answer.body != text.encode():
            raise NginxError(f"nginx did not take {what}: status {answer.status}")

    def take_leave(self) -> int:
        """Have each answer close its connection from now on, and return how many are open; raise NginxError."""
        try:
            answer = exchange(self._layout.nginx_socket, "PUT", "/leave", timeout=3)
        except ExchangeError as error:
            raise NginxError(f"nginx was not told to take leave: {error}") from error
        if answer.status != 200:
            raise NginxError(f"nginx did not take leave: status {answer.status}")
        active = answer.body.decode("utf-8", "replace").strip()
        return int(active) - 1 if active.isdigit() else 1

    def counters(self) -> dict[str, int]:
        """Return what the workers counted; raise NginxError."""
        try:
            answer = exchange(self._layout.nginx_socket, "GET", "/counters", timeout=3)
        except ExchangeError as error:
            raise NginxError(f"nginx did not give its counters: {error}") from error
        pairs = (line.partition(" ") for line in answer.body.decode("latin-1").splitlines())
        return {name: int(value) for name, _, value in pairs}


def follow_and_close(descriptor: int) -> None:
    """Write what Nginx says until its last process has ended."""
    try:
        errorlog.follow(descriptor)
    finally:
        os.close(descriptor)


def said(text: str) -> str:
    """Return Nginx's words without its time stamps."""
    found = [errorlog.fields(entry)[1] for entry in errorlog.entries(text)]
    return "; ".join(found)[:2000]


def processes() -> list[tuple[int, int, str]]:
    """Return number, parent and title of every Nginx process in this container."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            state, parent = rest.split()[:2]
            title = (entry / "cmdline").read_text(errors="replace")
        except OSError:
            continue
        if name == "nginx" and state != "Z":
            found.append((int(entry.name), int(parent), title))
    return found
