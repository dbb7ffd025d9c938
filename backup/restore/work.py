"""One request, done in a process of its own: what it needs of memory goes with it, and it can be ended at any time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from backup import line, setting, tools, url
from backup.error import StopError
from backup.url import Postgres
from restore import inspecting, loading, request, validating
from restore.refusal import RefusalError
from restore.request import Request

PASSING = ("cannot connect", "No space left on device")


def main(folder: Path, environ: Mapping[str, str] = os.environ) -> int:
    """Do what is asked in a job's folder and answer; return 0 when there is an answer."""
    asked = request.read(folder)
    if asked is None:
        return 0
    try:
        facts = done(folder, asked, environ)
        request.answer(folder, asked.seq, facts)
    except RefusalError as error:
        refuse(folder, asked, error)
    except StopError as error:
        reason = str(error).rstrip(".")
        refuse(folder, asked, RefusalError(reason, "Look at what it names", transient=reason.startswith(PASSING)))
    except OSError as error:
        reason = f"{error.filename or folder}: {error.strerror}"
        refuse(folder, asked, RefusalError(reason, "Give the spool room, and put the file here again", transient=True))
    return 0


def refuse(folder: Path, asked: Request, error: RefusalError) -> None:
    """Answer that it did not go well, and log why."""
    words = str(error).removeprefix(f"{asked.verb}: ")
    line.say("warning", f"{asked.verb}: {words}", job=folder.name, transient=error.transient)
    request.refuse(folder, asked.seq, error)


def done(folder: Path, asked: Request, environ: Mapping[str, str]) -> dict[str, object]:
    """Do what is asked and return the facts."""
    if asked.verb == "cancel":
        return {}
    if asked.verb == "validate":
        return validating.validate(folder, asked, tools.find())
    target = place(environ, asked.database)
    if asked.verb == "load":
        return loading.load(folder, asked, tools.find(), target)
    return inspecting.inspect(folder, asked, target)


def place(environ: Mapping[str, str], database: str) -> Postgres:
    """Return the way into a scratch database as the loader."""
    name = "RESTORE_LOADER_URL"
    text = setting.read(name, environ)
    try:
        found = url.parse(text or "")
    except ValueError as error:
        raise StopError(f"{name}: {error}") from None
    if not isinstance(found, Postgres):
        raise StopError(f"{name}: wanted a PostgreSQL URL: {url.WANTED}")
    return Postgres({**found.keywords, "dbname": database}, found.password)
