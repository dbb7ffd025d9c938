"""Starts a program's process, hands it the run through a pipe, and says how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from offline.language_python.ending import interrupt
from offline.language_python.interpreter import Interpreter
from offline.language_python.runner import ERROR_SHOWN

RUNNER = Path(__file__).with_name("runner.py")


class Program:
    """A process that loads the SDK and what is `likely` to be imported, and runs a program once it is told which."""

    def __init__(self, interpreter: Interpreter, environment: Mapping[str, str], likely: Sequence[str] = ()) -> None:
        self._reader, self._writer = os.pipe()
        self._cancelled = False
        self._closing = threading.Lock()
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            # Its standard output and error are the host's, which the engine shows. It shares the host's process group,
            # so that the engine, which signals the group, reaches it: not before it can end without a word.
            self._process = subprocess.Popen(
                [interpreter.executable, RUNNER, str(self._reader), *likely],
                stdin=subprocess.DEVNULL, env=interpreter.environment(environment), pass_fds=[self._reader],
            )  # fmt: skip
        except OSError:
            self._close_pipe()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            os.close(self._reader)

    def run(self, described: Mapping[str, Any]) -> str | None:
        """Hand over what is to be run, wait for the end, and return what to tell the user.

        None is a good end; an empty text is a failure whose error was shown already, or a cancelled run.
        """
        line = json.dumps(described).encode() + b"\n"
        try:
            sent = 0
            while sent < len(line):
                sent += os.write(self._writer, line[sent:])
        except BrokenPipeError:
            pass  # it ended before it read: its exit code says more
        finally:
            del line
        code = self._process.wait()
        self._close_pipe()
        return "" if self._cancelled else outcome(code)

    def cancel(self) -> None:
        """Interrupt the program; kill it when it is still there five seconds later."""
        self._cancelled = True
        interrupt(self._process)

    def _close_pipe(self) -> None:
        with self._closing:
            if self._writer >= 0:
                os.close(self._writer)
                self._writer = -1


def outcome(code: int) -> str | None:
    """Return what an exit code means to the user, as `Program.wait` does."""
    if code == 0:
        return None
    if code == ERROR_SHOWN:
        return ""
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory, if nobody sent it: see `dmesg`)" if name == "SIGKILL" else ""
        return f"the program was ended by {name}{hint}"
    return f"the program exited with code {code}; what it said is above"
