"""`loader`: waits for requests in the spool and has them done, one at a time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from backup import durable, line, program, tools
from backup.error import StopError
from backup.program import Program
from restore import request, work
from restore.refusal import RefusalError
from restore.request import Request

SPOOL = "/spool"
IDLE_SECONDS = 0.25
POLL_SECONDS = 0.1
MOST_TRIES = 3
TRIES = "tries.json"


def main(arguments: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> int:
    """Serve the spool until it is told to stop; with `work JOB`, do that job's request and end."""
    spool = Path(environ.get("RESTORE_SPOOL_DIR") or SPOOL)
    if len(arguments) == 2 and arguments[0] == "work" and request.JOB.fullmatch(arguments[1]):
        return work.main(spool / arguments[1], environ)
    if arguments:
        line.say("error", f"loader: got {' '.join(arguments)!r}, wanted nothing more")
        return 2
    try:
        found = tools.find()
        work.place(environ, "postgres")
    except StopError as error:
        line.say("error", str(error))
        return 1
    if not os.access(spool, os.R_OK | os.X_OK):
        line.say("error", f"RESTORE_SPOOL_DIR: {spool} cannot be read. Mount the spool there, for this user's group")
        return 1
    line.say("info", "waiting for restores", spool=str(spool), postgresql=found.version)
    served: dict[str, int] = {}
    while True:
        folder = waiting(spool, served)
        if folder is None:
            time.sleep(IDLE_SECONDS)
            continue
        try:
            serve(folder, environ)
        except (OSError, ValueError) as error:
            # Where it is not gone, it is served again.
            if folder.exists():
                line.say("error", f"the job could not be served: {error}", job=folder.name)
            else:
                line.say("info", "the job was called off and is gone", job=folder.name)
            time.sleep(POLL_SECONDS)


def waiting(spool: Path, served: dict[str, int]) -> Path | None:
    """Return the folder of a job with a request that is not answered; `served` keeps what needs no second look."""
    there = sorted(entry.name for entry in os.scandir(spool) if request.JOB.fullmatch(entry.name))
    for gone in served.keys() - set(there):
        del served[gone]
    for name in there:
        folder = spool / name
        try:
            changed = (folder / request.REQUEST).lstat().st_mtime_ns
        except OSError:
            continue
        if served.get(name) == changed:
            continue
        try:
            asked = request.read(folder)
        except ValueError as error:
            line.say("error", f"{request.REQUEST}: {error}", job=name)
            asked = None
        if asked is not None and request.answered(folder) != asked.seq:
            return folder
        served[name] = changed
    return None


def serve(folder: Path, environ: Mapping[str, str]) -> None:
    """Have a request done, and answer where that cannot."""
    asked = request.read(folder)
    if asked is None:
        return
    line.say("info", f"{asked.verb}: asked for", job=folder.name, seq=asked.seq)
    begun = tries(folder, asked.seq)
    error: RefusalError | None
    if begun > 1 and asked.verb == "load":
        # Some of it may be there already: it takes an empty database.
        error = RefusalError("the loader ended while it loaded", "It is tried again", transient=True)
    elif begun > MOST_TRIES:
        text = f"the loader ended {MOST_TRIES} times while it was at it"
        error = RefusalError(text, "Look at its memory and its log, and put the file here again")
    else:
        error = attempted(folder, asked, environ)
    # Only now has it ended for sure.
    (folder / TRIES).unlink(missing_ok=True)
    if error is not None and request.answered(folder) != asked.seq:
        work.refuse(folder, asked, error)


def attempted(folder: Path, asked: Request, environ: Mapping[str, str]) -> RefusalError | None:
    """Have a request done; return why it has no answer."""
    request.progress(folder, asked.seq, asked.verb, 0, 0, "")
    command = [sys.executable, "-m", "restore", "loader", "work", folder.name]
    with program.started(command, environ=environ, stdout=sys.stdout.fileno()) as working:
        error = watched(folder, asked, working)
        words = working.words()
    if error is None:
        how = f"status {working.process.returncode}: {words}"
        error = RefusalError(f"{asked.verb}: its process ended with {how}", "It is tried again", transient=True)
    return error


def watched(folder: Path, asked: Request, working: Program) -> RefusalError | None:
    """Wait for a process; return why it has to be ended, None when it ended by itself."""
    deadline = time.monotonic() + asked.seconds
    while working.running():
        if time.monotonic() > deadline:
            reason = f"{asked.verb}: was not done within {asked.seconds:.0f} s"
            return RefusalError(reason, "RESTORE_LOAD_TIMEOUT gives it more time")
        if replaced(folder, asked):
            return RefusalError(f"{asked.verb}: was called off", "Put the file here again if that was not meant")
        time.sleep(POLL_SECONDS)
    return None


def replaced(folder: Path, asked: Request) -> bool:
    """Tell whether something else is asked by now, or the job is gone."""
    try:
        now = request.read(folder)
    except ValueError:
        return False
    return now is None or now.seq != asked.seq


def tries(folder: Path, seq: int) -> int:
    """Count and return how often this request has been begun without an end."""
    try:
        known = request.load(folder / TRIES) or {}
    except ValueError:
        known = {}
    count = known.get("count", 0) + 1 if known.get("seq") == seq else 1
    durable.write(folder / TRIES, request.encoded({"seq": seq, "count": count}))
    return int(count)
