"""Child processes: started with little, watched, and never left behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from backup.error import StopError

POLL_SECONDS = 0.05
STOP_SECONDS = 5.0
WORDS = 2000

# When this process dies, whatever way, its children go too: nothing goes on writing into a folder that is swept.
LEASH = ("setpriv", "--pdeathsig", "KILL", "--")


class Program:
    """One running child process; what it says on standard error is kept for the message of a failure."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        ending: int = signal.SIGTERM,
    ) -> None:
        """Start the command with this environment alone; `ending` is the signal that ends it."""
        self.ending = ending
        self.name = Path(command[0]).name
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        try:
            self.process = subprocess.Popen(
                [*LEASH, *command],
                env=dict(environ) if environ is not None else plain(),
                stdin=stdin,
                stdout=stdout,
                stderr=self.errors,
                pass_fds=tuple(descriptors),
            )
        except OSError as error:
            self.errors.close()
            raise StopError(f"{self.name}: cannot be started: {error.strerror}. Use the image that has it") from None
        try:
            self.descriptor: int | None = os.pidfd_open(self.process.pid)
        except OSError:  # a kernel before 5.3
            self.descriptor = None

    def wait(self, seconds: float) -> bool:
        """Wait for its end for so long, and tell whether it has ended; the kernel says so at once, where it can."""
        if self.descriptor is not None:
            select.select([self.descriptor], [], [], seconds)
            return not self.running()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return not self.running()

    def running(self) -> bool:
        """Tell whether it runs."""
        return self.process.poll() is None

    def words(self) -> str:
        """Return the end of what it said on standard error, in one line."""
        size = self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, size - WORDS))
        return " ".join(self.errors.read().decode("utf-8", "replace").split())

    def finish(self) -> None:
        """Raise StopError when it has ended with anything but success."""
        status = self.process.returncode
        if status:
            how = f"status {status}" if status > 0 else f"signal {-status}"
            raise StopError(f"{self.name} ended with {how}: {self.words() or 'it said nothing'}")

    def close(self) -> None:
        """End it, if it still runs, and let go of its output."""
        if self.running():
            self.process.send_signal(self.ending)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.descriptor is not None:
            os.close(self.descriptor)
        self.errors.close()


@contextlib.contextmanager
def started(command: Sequence[str], **options: object) -> Iterator[Program]:
    """Run a program for as long as the block lasts."""
    program = Program(command, **options)  # type: ignore[arg-type]
    try:
        yield program
    finally:
        program.close()


def run(
    command: Sequence[str],
    *,
    seconds: float,
    environ: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    tick: Callable[[], None] = lambda: None,
    longer: str = "BACKUP_STEP_TIMEOUT changes it",
) -> None:
    """Run a program to its end, calling `tick` meanwhile; raise StopError when it fails or its time is up."""
    deadline = time.monotonic() + seconds
    options = {"environ": environ, "descriptors": descriptors, "stdin": stdin, "stdout": stdout}
    with started(command, **options) as program:
        while True:
            if program.wait(POLL_SECONDS):
                break
            tick()
            if time.monotonic() > deadline:
                raise StopError(f"{program.name} was not done within {seconds:.0f} s. {longer}")
        program.finish()


def output(
    command: Sequence[str],
    *,
    seconds: float = 60,
    environ: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> str:
    """Return what a program prints; raise StopError when it fails or its time is up."""
    hangs = "Look whether what it asks hangs"
    with tempfile.TemporaryFile() as printed:
        run(command, seconds=seconds, environ=environ, descriptors=descriptors, stdout=printed, longer=hangs)
        printed.seek(0)
        return printed.read().decode("utf-8", "replace")


def plain() -> dict[str, str]:
    """Return an environment that holds nothing of this one's settings."""
    return {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}
