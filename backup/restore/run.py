"""Takes a job from where the journal says it is to its end, whatever happens on the way."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from backup import line, notice
from backup.connection import words
from backup.error import StopError
from backup.notice import Event
from restore import decision, receipt, steps
from restore.claim import ChangedError
from restore.context import Context
from restore.decision import Action, Facts
from restore.error import RejectedError, SwitchError, TransientError
from restore.job import Job

LONGEST_PAUSE = 15.0
FIRST_PAUSE = 0.1
MOST_TRIES = 3
HELD_SECONDS = 10.0


def run(context: Context, identifier: str) -> None:
    """Do what comes next in a job until it has ended."""
    pause, since = FIRST_PAUSE, time.monotonic()
    while True:
        job = context.job(identifier)
        if job.ended:
            return
        step = job.step or "claim"
        try:
            known: Facts = steps.engine(context).facts(context, job)
            action = decision.decide(job, known)
            step = action.step or step
            act(context, job, action)
        except ChangedError:
            context.write(identifier, "job", "end", {"outcome": "changed"})
            return
        except Exception as error:  # whatever it is, the app must get back
            pause = trouble(context, identifier, step, error, pause, since)
        else:
            if action.kind != "hold":
                pause, since = FIRST_PAUSE, time.monotonic()


def act(context: Context, job: Job, action: Action) -> None:
    """Do one action and write down what came of it."""
    if action.kind == "hold":
        line.say("error", f"{action.words}: nothing is done until somebody has looked", job=job.id)
        context.told({"held": action.words})
        alarm(context, job.id, action.words)
        time.sleep(HELD_SECONDS)
    elif action.kind == "fail":
        context.write(job.id, action.step, "fail", {"verdict": "failed", "reason": action.words})
    elif action.kind == "note":
        context.write(job.id, action.step, "done", {})
    elif action.kind == "end":
        context.write(job.id, "job", "end", {"outcome": job.verdict or "done"})
        tell(context, job)
    else:
        began = time.monotonic()
        context.write(job.id, action.step, "begin", steps.before(context, job, action.step))
        done: Mapping[str, Any] = steps.do(context, context.job(job.id), action.step)
        context.write(job.id, action.step, "done", done)
        line.say("info", f"{action.step}: done", job=job.id, seconds=round(time.monotonic() - began, 3))


def trouble(context: Context, identifier: str, step: str, error: Exception, pause: float, since: float) -> float:
    """Decide what an error means, write it down where it ends the job, and return how long the next pause is."""
    job = context.job(identifier)
    reason = told(error)
    transient = isinstance(error, TransientError)
    waited = time.monotonic() - since
    # Once the door is shut, whatever is away is waited for: the way back needs it too.
    patient = job.began("fence") or waited < context.chosen.patience
    tired = step == "load" or (step == "stop" and isinstance(error, SwitchError))
    again = transient and patient and not (tired and job.tries.get(step, 0) >= MOST_TRIES)
    # Once the app runs on the new database, nothing that is left to do is worth taking it away again.
    if job.verdict or again or "start" in job.done:
        line.say("warning" if again else "error", f"{step}: {reason}; tried again", job=identifier)
        context.told({"waiting": reason})
        if pause >= LONGEST_PAUSE:
            alarm(context, identifier, reason)
        if step == "load" and not job.verdict:
            pause = max(pause, 0.5)
        time.sleep(pause)
        return min(LONGEST_PAUSE, pause * 2)
    verdict = "rejected" if isinstance(error, RejectedError) and not job.began("stop") else "failed"
    line.say("error", f"{step}: {reason}", job=identifier, verdict=verdict)
    try:
        context.write(identifier, step, "fail", {"verdict": verdict, "reason": reason})
    except StopError as full:
        line.say("error", str(full))
        time.sleep(pause)
        return min(LONGEST_PAUSE, pause * 2)
    return FIRST_PAUSE


def alarm(context: Context, identifier: str, reason: str) -> None:
    """Tell others, once for each reason, that a restore does not go on by itself."""
    if context.alarmed != reason:
        context.alarmed = reason
        notice.tell(context.channels, Event("restore-held", {"job": identifier, "reason": reason}))


def told(error: Exception) -> str:
    """Return an error in words that hold no secret."""
    if isinstance(error, StopError):
        return str(error)
    if isinstance(error, psycopg.Error):
        return f"the server refused: {words(error)}"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return f"this is a mistake in the restore service: {type(error).__name__} at {where}"


def tell(context: Context, job: Job) -> None:
    """Tell others how a job ended."""
    outcome = receipt.ENDS.get(job.verdict, "done")
    fields = {
        "job": job.id,
        "database": context.chosen.database,
        "file": job.data.get("name", ""),
        "rows": job.data.get("rows", 0),
        "reason": job.reason,
    }
    line.say("error" if job.verdict else "info", f"restore {outcome}", **fields)
    notice.tell(context.channels, Event(f"restore-{outcome}", fields))
