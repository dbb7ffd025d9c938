"""What one call of the engine works with, and the errors it ends with, worded as the official provider words them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from offline.docker.daemon import LONG_SECONDS, Daemon
from offline.plugin.errors import InitFailedError, PluginError
from offline.plugin.log import EngineLog
from offline.plugin.values import Properties, Value

DAEMON_GONE = "the update was cancelled"


@dataclass(frozen=True)
class Call:
    """The daemon, the engine's log, the resource the call is about, and how long it may take in all."""

    daemon: Daemon
    log: EngineLog
    cancelled: threading.Event
    urn: str
    seconds: float = LONG_SECONDS
    folder: str = "."

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until the engine cancels; raise PluginError then."""
        if self.cancelled.wait(seconds):
            raise PluginError(DAEMON_GONE)

    def deadline(self) -> float:
        """Return the moment, by the monotonic clock, at which the call's time is over."""
        return time.monotonic() + self.seconds


@dataclass(frozen=True)
class Made:
    """An object that now exists: its id and its state."""

    id: str
    state: Properties


def listed(message: str) -> str:
    """Return a message as the one entry of the list of errors the official provider shows."""
    return f"1 error occurred:\n\t* {message}\n\n"


def refused(message: str) -> PluginError:
    """Return the error of a Create that left nothing behind."""
    return PluginError(listed(message))


def failed(verb: str, urn: str, message: str) -> PluginError:
    """Return the error of a call on an object; `verb` is `deleting` or `refreshing`."""
    return PluginError(f"{verb} {urn}: {listed(message)}")


def half_done(verb: str, urn: str, message: str, *, id: str, state: Mapping[str, Value]) -> InitFailedError:  # noqa: A002
    """Return the error of a `creating` or `updating` that left an object, which the engine then records."""
    return InitFailedError(
        f"{verb} {urn}: {listed(message)}", id=id, properties=state, inputs={}, reasons=[listed(message)]
    )
