"""Whose plugin a process is: when that ends the plugin does, and it is told how the plugin ended."""

from __future__ import annotations

import os
import select
import time
from typing import NoReturn, Protocol

POLL_SECONDS = 1.0


class Owner(Protocol):
    """Whoever started the plugin."""

    def wait(self) -> None:
        """Return when the owner has ended."""

    def leave(self, code: int) -> NoReturn:
        """End this process at once, with a code that the owner sees."""


class Parent:
    """The parent process, which is the engine as a rule."""

    def __init__(self) -> None:
        self._number = os.getppid()

    def wait(self) -> None:
        """Return when it has ended.

        Standard input tells nothing: the engine's end of it closes whenever its garbage collector comes by.
        """
        try:
            process = os.pidfd_open(self._number)
        except (AttributeError, OSError):  # not Linux, an old kernel, or it ended before we looked
            while os.getppid() == self._number:
                time.sleep(POLL_SECONDS)
            return
        if os.getppid() == self._number:  # else the number may be another process's by now
            select.select([process], [], [])
        os.close(process)

    def leave(self, code: int) -> NoReturn:
        """Exit."""
        os._exit(code)


_owner: Owner | None = None


def current() -> Owner:
    """Return whose plugin this process is."""
    return _owner or Parent()


def belong_to(other: Owner) -> None:
    """Make this process another owner's."""
    global _owner
    _owner = other
