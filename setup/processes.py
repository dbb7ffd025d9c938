"""Running other programs: always with a limit of time, and never leaving one behind."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from setup.problem import Problem

KEPT_LINES = 30


class Failed(Exception):  # noqa: N818 - an outcome, which the caller turns into a Problem
    """A program ended with an exit code other than 0, or did not end in time (`code` is None)."""

    def __init__(self, command: Sequence[str], code: int | None, words: str) -> None:
        super().__init__(command, code, words)
        self.command = command
        self.code = code
        self.words = words

    def __str__(self) -> str:
        ending = "did not end in time" if self.code is None else f"ended with exit code {self.code}"
        return f"`{' '.join(self.command[:4])}` {ending}:\n{self.words}".rstrip(":\n")


def run(
    command: Sequence[str],
    timeout: float,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stdin: str | None = None,
) -> str:
    """Run the command and return its standard output; raise Failed with its last words, OSError if it is absent."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env=environment,
            cwd=folder,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(command, None, _tail(error.stderr) or _tail(error.stdout)) from None
    if done.returncode != 0:
        raise Failed(command, done.returncode, _tail(done.stderr) or _tail(done.stdout))
    return done.stdout


def follow(
    command: Sequence[str],
    timeout: float,
    line: Callable[[str], None],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    log: Path | None = None,
    grace: float = 10,
) -> None:
    """Run a long command, giving each line that it prints to `line` and to the log; raise Failed as `run` does.

    Standard error is read too. When it has to end early (a time limit, Ctrl-C), the command and its children are
    stopped, with `grace` seconds to do it themselves.
    """
    last: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
    with contextlib.ExitStack() as stack:
        kept: IO[str] | None = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            kept = stack.enter_context(log.open("a", encoding="utf-8"))
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            cwd=folder,
            # A group of its own, so that Ctrl-C reaches it through `stop`; in this session, which sudo's leave is for.
            process_group=0,
        )
        late = threading.Event()

        def give_up() -> None:
            late.set()
            stop(process, grace)

        timer = threading.Timer(timeout, give_up)
        timer.daemon = True
        timer.start()
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            with process.stdout as output:
                for text in output:
                    words = text.rstrip()
                    last.append(words)
                    if kept:
                        kept.write(text)
                    if words:
                        line(words)
            code = process.wait()
        except BaseException:
            stop(process, grace)
            raise
        finally:
            timer.cancel()
    if code != 0:
        raise Failed(command, None if late.is_set() else code, "\n".join(last))


def stop(process: subprocess.Popen[str], grace: float = 10) -> None:
    """Stop a process and its children: SIGTERM, and SIGKILL after the grace period in seconds."""
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, wanted)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            continue
        else:
            return


def hand_over(command: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> int:
    """Run the command on this terminal and return its exit code; it decides itself what Ctrl-C means.

    From a terminal the kernel sends Ctrl-C to the command too. Without one, and for SIGTERM, it is passed on as an
    interrupt, so that Pulumi stops after the operation in hand and writes its state.
    """
    process = subprocess.Popen(command, env=environment, cwd=folder)
    at_terminal = os.isatty(0)

    def interrupted(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT or not at_terminal:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)

    with _handlers(interrupted):
        code = process.wait()
    # As a shell tells it, where a signal ended the command.
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _handlers(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, previous in zip(numbers, before, strict=True):
            signal.signal(number, previous)


def needs(program: str, package: str, found: str | None) -> str:
    """Return the path of a program that was looked for, or raise a Problem that names the package it comes in."""
    if found is None:
        raise Problem(
            f"The program `{program}` is needed and is not on PATH.", f"install it: apt-get install {package}"
        )
    return found


def _tail(words: str | bytes | None) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words or ""
    return "\n".join(text.strip().splitlines()[-KEPT_LINES:])
