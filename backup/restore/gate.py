"""`gate`: stands in front of the Docker daemon and lets through four verbs, for this stack and for one caller."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from backup import line
from backup.error import StopError
from restore import place

CHECK_SECONDS = 4.0


def main(arguments: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> int:
    """Serve until a signal ends it, or with `check` tell whether the gate and the daemon behind it answer."""
    if list(arguments) not in ([], ["check"]):
        line.say("error", f"gate: got {' '.join(arguments)!r}, wanted nothing or check")
        return 2
    try:
        if arguments:
            check(place.of(environ))
            return 0
        # Only here: a check, of which there are many, costs a quarter of what it would.
        from restore import keeper

        keeper.keep(environ)
    except StopError as error:
        line.say("error", str(error))
    return 1


def check(path: Path) -> None:
    """Raise StopError unless a running gate, and the daemon behind it, are well; its own user may ask."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as asking:
        asking.settimeout(CHECK_SECONDS)
        try:
            asking.connect(str(path))
            asking.sendall(b"GET /health HTTP/1.1\r\n\r\n")
            answer = asking.recv(4096)
        except OSError as error:
            raise StopError(f"{path}: the gate does not answer: {error.strerror or error}. Look at its log") from None
    if not answer.startswith(b"HTTP/1.1 200 "):
        said = answer.partition(b"\r\n")[0][:80].decode("ascii", "replace")
        raise StopError(f"{path}: the gate answers {said!r}, wanted 200: is the Docker daemon there? Look at its log")
