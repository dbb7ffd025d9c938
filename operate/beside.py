"""Suites that run behind those on the terminal: at a lower priority, one after another, and told of at the end."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from operate.suites import Suite
from setup.processes import stop

# A third of what the others get where both want a processor: enough for the time that an answer may take.
LOWER = ("nice", "-n", "5")
SECONDS_TO_CLEAN_UP = 60


class Beside:
    """A thread that runs commands, and what came of each: its exit code, None where it was stopped."""

    def __init__(
        self,
        suites: Sequence[Suite],
        command: Callable[[Suite], Sequence[str]],
        patience: Callable[[Suite], float],
        environment: Mapping[str, str],
        repository: Path,
        folder: Path,
    ) -> None:
        """Take what is to be run; `patience` is in seconds."""
        self.suites = suites
        self.codes: dict[str, int | None] = {}
        self.seconds: dict[str, float] = {}
        self._command, self._patience = command, patience
        self._environment, self._repository, self._folder = dict(environment), repository, folder
        self._process: subprocess.Popen[str] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Beside:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the rest; where something went wrong on the terminal, have the tests clean up and end."""
        if kind is not None:
            self._stopped.set()
            if self._process is not None:
                self._process.send_signal(2)
                self._thread.join(SECONDS_TO_CLEAN_UP)
                if self._thread.is_alive():
                    # It was started where nobody interrupts anything, and passes over that.
                    stop(self._process)
        self._thread.join()

    def words(self, suite: Suite) -> str:
        """Return what a suite said."""
        try:
            return self._output(suite).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def _output(self, suite: Suite) -> Path:
        return self._folder / f"{suite.name}.txt"

    def _run(self) -> None:
        for suite in self.suites:
            if self._stopped.is_set():
                return
            with self._output(suite).open("w", encoding="utf-8") as output:
                self._process = subprocess.Popen(
                    [*LOWER, *self._command(suite)], env=self._environment, cwd=self._repository, text=True,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
                began = time.monotonic()
                self.codes[suite.name] = self._wait(self._process, self._patience(suite))
                self.seconds[suite.name] = time.monotonic() - began

    def _wait(self, process: subprocess.Popen[str], seconds: float) -> int | None:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            stop(process, grace=SECONDS_TO_CLEAN_UP)
            return None
