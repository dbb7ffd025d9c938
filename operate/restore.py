"""`make restore FILE=… | LATEST=1`: puts a file or a backup into the queue, and tells what becomes of it."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from operate import consent, conversation, within
from operate.request import Request
from setup.problem import Problem

SERVICE = "db-restore"
COMMAND = ("env", "LOG_FORMAT=text", "python", "-m", "restore")
STANDARD_INPUT = 0
KILLED = 137


def run(request: Request) -> int:
    """Ask, then restore and follow it to its end; return 0 when the database is live."""
    source = wanted(request)
    loss = f"This replaces the database of the stack {request.stack} by {source or 'the newest verified backup'}"
    unasked = f"make restore STACK={request.stack} {f'FILE={source}' if source else 'LATEST=1'} YES=yes"
    consent.given(request, loss, request.stack, unasked)
    path = Path(source)
    if not source or not path.is_file():
        # Of what is in the backups' folder, the service finds it by its name.
        return followed(request, ["submit", source or "latest", *following()])
    with path.open("rb") as file:
        os.dup2(file.fileno(), STANDARD_INPUT)
    return followed(request, ["submit", "-", "--name", path.name, *following()])


def followed(request: Request, words: Sequence[str]) -> int:
    """Run one of the service's commands; raise Problem, with where to look, when it goes on without this one."""
    try:
        code = within.run(request, SERVICE, [*COMMAND, *words])
    except conversation.Lost as lost:
        raise Problem(lost.cause, looking(request.stack)) from None
    if code == KILLED:
        raise Problem("The restore service ended while this waited for it.", looking(request.stack))
    return code


def looking(stack: str) -> str:
    """Return how to see what became of a restore: asked for once more, it would be done once more."""
    return (
        f"nothing, as a rule: what it has taken it finishes or undoes when it is there again. make restores "
        f"STACK={stack} ARGS=status says how far it is, make restores STACK={stack} how it ended"
    )


def wanted(request: Request) -> str:
    """Return the file or backup to restore, empty for the newest backup; raise Problem for neither or both."""
    source, latest = request.environment.get("FILE", ""), request.says_yes("LATEST")
    if request.arguments or bool(source) == latest:
        raise Problem(
            "make restore wants either FILE or LATEST.",
            f"make restore STACK={request.stack} LATEST=1 for the newest verified backup, FILE=PATH for a file of this "
            f"machine, FILE=ID for a backup (make backups STACK={request.stack} lists them)",
        )
    if "/" in source and not Path(source).is_file():
        raise Problem(f"FILE: {source} is no file.", "name one that ends in .dump, .sql, .db, or one of these and .gz")
    return source


def following() -> list[str]:
    """Return the words that have the service say who asked, and what becomes of it."""
    return ["--wait", "--who", f"{getpass.getuser()}@{socket.gethostname()}"]
