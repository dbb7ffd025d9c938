"""A Docker daemon of a test's own, in namespaces of its own, that can be restarted without harm to anybody's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from restore.engine import Engine, EngineError
from tests.conftest import run_docker, until
from tests.restore.guarded import BASE, LEASH, short_folder

# Everything below the first process ends with it. A containerd that the machine runs must not be found.
LITTLE = "tar -chC / bin/sh bin/sleep $(ldd /bin/sh /bin/sleep | grep -o '/lib[^ ]*' | sort -u | cut -c2-)"
SCRIPT = """
ip link set lo up
mount -t tmpfs tmpfs /run
while :; do
    dockerd --host unix://$1/docker.sock --data-root $1/data --exec-root $1/exec --pidfile $1/pid --bridge none \
        --iptables=false --ip6tables=false --storage-driver vfs --shutdown-timeout 1
    test ! -e $1/over || exit
done
"""


class Daemon:
    """A daemon, asked by the Docker CLI."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self, *arguments: str, timeout: float = 120, check: bool = True) -> str:
        """Run the Docker CLI and return what it prints."""
        return run_docker("--host", f"unix://{self.socket}", *arguments, timeout=timeout, check=check)

    def start(self) -> None:
        """Start it, with a little of the base image under that name."""
        spaces = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*LEASH, *spaces, "sh", "-c", SCRIPT, "sh", str(self.folder)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.until_there()
        little = ["docker", "run", "--rm", "--network", "none", BASE, "sh", "-c", LITTLE]
        with subprocess.Popen(little, stdout=subprocess.PIPE) as packed:
            subprocess.run(
                ["docker", "--host", f"unix://{self.socket}", "import", "-", BASE],
                stdin=packed.stdout, check=True, capture_output=True, timeout=120,
            )  # fmt: skip

    def until_there(self) -> None:
        """Wait until it answers."""

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
            with contextlib.suppress(EngineError):
                Engine(str(self.socket)).ping()
                return True
            return False

        until(answers, "an answer of the daemon", 60)

    def pid(self) -> int:
        """The daemon's number on this machine."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if words[0].endswith(b"dockerd") and f"unix://{self.socket}".encode() in words:
                    return int(path.parent.name)
        raise AssertionError("the daemon does not run")

    def restart(self, how: signal.Signals) -> None:
        """End the daemon by a signal, and wait until another one answers in its place."""
        before = self.pid()
        os.kill(before, how)
        until(lambda: self._follows(before), "the end of the daemon", 60)
        self.until_there()

    def _follows(self, before: int) -> bool:
        with contextlib.suppress(AssertionError):
            return self.pid() != before
        return False

    def stop(self) -> None:
        """End it with all that it runs."""
        if self.process is None:
            return
        (self.folder / "over").touch()
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            found = self("ps", "-aq", check=False).split()
            self("rm", "-fv", *found, check=False)
            os.kill(self.pid(), signal.SIGTERM)
            self.process.wait(20)
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def own_daemon() -> Iterator[Daemon]:
    """A daemon for as long as the block lasts."""
    with short_folder() as folder:
        made = Daemon(folder)
        try:
            made.start()
            yield made
        finally:
            made.stop()
