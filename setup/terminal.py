"""What a person sees: a line per step, with what was decided and how long it took."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from setup.problem import Problem

Progress = Callable[[str], None]

NAME_WIDTH = 14
LIVE_SECONDS = 0.2
QUIET_SECONDS = 15.0


class Terminal:
    """Prints steps; a terminal gets a live line while one runs, anything else a line now and then."""

    def __init__(self, stream: TextIO | None = None, environment: Mapping[str, str] | None = None) -> None:
        self.stream = stream or sys.stdout
        environment = os.environ if environment is None else environment
        self.live = self.stream.isatty() and environment.get("TERM") != "dumb"
        self.colour = self.live and not environment.get("NO_COLOR")
        self.unicode = "utf" in (self.stream.encoding or "").lower()

    def say(self, text: str = "") -> None:
        """Print a line."""
        self.stream.write(f"{text}\n")
        self.stream.flush()

    def note(self, text: str) -> None:
        """Print a line that belongs to the step above it."""
        self.say(f"  {' ' * NAME_WIDTH}   {text}")

    def done(self, name: str, outcome: str, seconds: float) -> None:
        """Print a finished step."""
        self.say(f"{self._mark('ok')} {name:<{NAME_WIDTH}}   {outcome} ({duration(seconds)})")

    def problem(self, problem: Problem) -> None:
        """Print a reason not to go on, and its remedy."""
        cause, fix = problem.cause.replace("\n", "\n  "), problem.fix.replace("\n", "\n       ")
        self.say(f"{self._mark('failed')} {cause}\n  Fix: {fix}")

    def bold(self, text: str) -> str:
        """Return the text emphasised where the terminal can do that."""
        return f"\x1b[1m{text}\x1b[0m" if self.colour else text

    @contextlib.contextmanager
    def step(self, name: str, intention: str) -> Iterator[Step]:
        """Show a step while the block runs, and its outcome (`step.outcome`) and time when it ends well."""
        step = Step(self, name, intention)
        with step:
            yield step

    def _mark(self, kind: str) -> str:
        symbol = {"ok": "✓", "failed": "✗"}[kind] if self.unicode else {"ok": "*", "failed": "!"}[kind]
        if not self.colour:
            return symbol
        return f"\x1b[{'32' if kind == 'ok' else '31'}m{symbol}\x1b[0m"


class Silent(Terminal):
    """Prints nothing; for verbs whose own answer is what was asked for."""

    def say(self, text: str = "") -> None:
        """Keep it to itself."""


class Step:
    """One step that is under way; calling it tells how far it is."""

    def __init__(self, terminal: Terminal, name: str, intention: str) -> None:
        self.terminal = terminal
        self.name = name
        self.outcome = intention
        self._progress = intention
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __call__(self, progress: str) -> None:
        """Tell how far the step is; shown live, or with the next line that is due."""
        self._progress = progress

    def __enter__(self) -> Step:
        self._ticker.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._stop.set()
        self._ticker.join()
        if self.terminal.live:
            self.terminal.stream.write("\r\x1b[K")
        seconds = time.monotonic() - self._started
        if kind is None:
            self.terminal.done(self.name, self.outcome, seconds)
        else:
            self.terminal.say(
                f"{self.terminal._mark('failed')} {self.name:<{NAME_WIDTH}}   stopped ({duration(seconds)})"
            )

    def _tick(self) -> None:
        interval = LIVE_SECONDS if self.terminal.live else QUIET_SECONDS
        while not self._stop.wait(interval):
            seconds = duration(time.monotonic() - self._started)
            line = f"… {self.name:<{NAME_WIDTH}}   {self._progress} ({seconds})"
            if not self.terminal.unicode:
                line = line.replace("…", "-")
            if self.terminal.live:
                width = os.get_terminal_size(self.terminal.stream.fileno()).columns
                self.terminal.stream.write(f"\r\x1b[K{line[: max(width - 1, 20)]}")
                self.terminal.stream.flush()
            else:
                self.terminal.say(line)


def duration(seconds: float) -> str:
    """Return a time as a person says it: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"
