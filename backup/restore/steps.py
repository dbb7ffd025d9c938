"""The steps that are the same whatever is restored: taking the file, looking at what it is, and laying it away."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from backup import durable, fault, line, manifest, writeback
from backup.error import StopError
from restore import arrivals, asking, claim, decision, foreign, postgres, receipt, sqlite, stops, trust
from restore.arrivals import Seen
from restore.claim import ChangedError
from restore.context import Context
from restore.error import RejectedError
from restore.job import Job
from restore.lock import WaitedError

Step = Callable[[Context, Job], Mapping[str, Any]]
UNSEAL_SECONDS = 6 * 3600.0
SWEEPS, SWEEP_SECONDS = 10, 0.3


def engine(context: Context) -> ModuleType:
    """Return the module with the steps for what is restored."""
    return postgres if context.chosen.admin is not None else sqlite


def before(context: Context, job: Job, step: str) -> Mapping[str, Any]:
    """Return what has to be in the journal before a step does anything."""
    if step == "stop":
        # Before anything is written of a stop: who has to wait for too long has stopped nothing.
        context.hold(job.id)
        return stops.before(context, job)
    if step in ("load", "swap"):
        found: Mapping[str, Any] = getattr(engine(context), f"before_{step}")(context, job)
        return found
    return {}


def do(context: Context, job: Job, step: str) -> Mapping[str, Any]:
    """Do a step, which may have been half done before, and return what came of it."""
    own: dict[str, Step] = {
        "claim": take,
        "validate": validate,
        "stop": stop,
        "start": stops.start,
        "halt": stops.halt,
        "restart": stops.restart,
        "file": file,
    }
    hold(context, job, step)
    if step in own:
        return own[step](context, job)
    name = "open_up" if step == "open" else step
    found: Mapping[str, Any] = getattr(engine(context), name)(context, job)
    return found


def hold(context: Context, job: Job, step: str) -> None:
    """Hold the lock from before anything stops until the app is back.

    On the way back nobody is waited for without end: what the lock keeps out, the shut door does too.
    """
    if step in ("stop", "fence", "swap", "open", "upgrade", "start"):
        context.hold(job.id)
    elif step in ("halt", "back", "reopen", "restart") and decision.shut(job):
        try:
            context.hold(job.id)
        except WaitedError as error:
            line.say("warning", f"going back without the lock: {error}")


def take(context: Context, job: Job) -> Mapping[str, Any]:
    """Take the file out of the queue; raise ChangedError when it is not the one that was seen."""
    processing = context.processing(job.id)
    if job.order == "undo":
        processing.mkdir(mode=0o750, parents=True, exist_ok=True)
        return {}
    if processing.exists():
        # A crash came in between: it waits again as if nothing had been.
        claim.put_back(context.chosen.watch, job.data["name"], processing)
        raise ChangedError
    folder = asking.begin(context.chosen.spool, job.id)
    processing.mkdir(mode=0o750, parents=True)
    durable.sync(processing.parent)
    seen = Seen(*job.data["seen"])
    with writeback.steady(folder):
        taken = claim.take(
            context.chosen.watch, seen, processing, folder / claim.COPY, context.chosen.most_bytes,
            lambda count: context.tick({"step": "claim", "bytes": count, "of": seen.size}),
        )  # fmt: skip
    return {"sha256": taken.sha256, "bytes": taken.bytes, **submitted(processing, job.data["name"], seen)}


def submitted(processing: Path, name: str, seen: Seen) -> dict[str, Any]:
    """Return who put the file in and where they had it from, as far as is known."""
    content = foreign.read(processing / f"{name}{arrivals.NOTE}", 65_536)
    try:
        found = json.loads(content or b"{}")
        who, source = found.get("who"), found.get("source")
    except (ValueError, AttributeError):
        who = source = None
    return {"who": asking.text(who)[:200] or f"uid {seen.owner}", "source": asking.text(source)[:300]}


def validate(context: Context, job: Job) -> Mapping[str, Any]:
    """Look at everything that can be looked at before anything is touched."""
    stops.check(context)
    if job.order == "undo":
        found: Mapping[str, Any] = engine(context).validate_undo(context, job)
        return found
    name, folder, processing = str(job.data["name"]), context.shared(job.id), context.processing(job.id)
    digest = str(job.data["sha256"])
    wanted = claim.expected(processing, name)
    if wanted is not None and wanted != digest:
        raise RejectedError(
            f"its SHA-256 is {digest[:16]}…, and {name}{arrivals.HASH} says {wanted[:16]}…. Copy it again"
        )
    if not job.data["bytes"]:
        raise RejectedError("it is empty. Copy it again")
    known = trust.checked(context.chosen, name, processing, digest)
    about = kind(context, name)
    clear(context, job, known)
    if about["kind"].partition(".")[0] != "db":
        asking.share(folder)
    told = {**about, **(origin(*known) if known else {})}
    if known:
        durable.write(processing / "wanted.json", json.dumps(known[0].contents).encode())
    # The engine's step reads the job's data, so what was found goes there first.
    context.write(job.id, "validate", "kind", told)
    fault.point("validate:asked")
    done: Mapping[str, Any] = engine(context).validate(context, context.job(job.id))
    return done


def kind(context: Context, name: str) -> dict[str, Any]:
    """Return what a file says that it is; raise RejectedError for what is not restored here."""
    found = arrivals.NAME.fullmatch(name)
    if found is None:
        raise RejectedError("its name has no ending that is known")
    if found["kind"] not in engine(context).KINDS:
        wanted = ", ".join(f".{word}" for word in engine(context).KINDS)
        raise RejectedError(
            f"what is restored here is {context.chosen.database}, from {wanted} files. Another kind of database needs "
            f"a restore service of its own"
        )
    return {"kind": f"{found['kind']}{found['gzip'] or ''}", "compressed": bool(found["gzip"])}


def clear(context: Context, job: Job, known: tuple[manifest.Manifest, manifest.StoredFile] | None) -> None:
    """Have the file in the clear in the job's folder, decrypted where it was encrypted."""
    folder = context.shared(job.id)
    path, to = folder / claim.COPY, folder / asking.FILE
    if not path.exists():
        # It was made ready before a crash.
        if to.exists():
            return
        raise StopError("its private copy is gone from the spool. Put the file in again")
    to.unlink(missing_ok=True)
    sealed = claim.is_sealed(path)
    if str(job.data["name"]).endswith(".age") != sealed:
        raise RejectedError(f"its name says that it is {'not ' if sealed else ''}encrypted, and that is not so")
    if sealed:
        with writeback.steady(folder):
            trust.opened(context.chosen, path, to, UNSEAL_SECONDS)
        if known:
            trust.same_inside(to, known[1])
        path.unlink()
    else:
        durable.rename(path, to)


def origin(found: manifest.Manifest, _stored: manifest.StoredFile) -> dict[str, Any]:
    """Return what a receipt says of a backup."""
    return {"backup": found.id, "backup_created": found.created, "backup_rows": found.rows}


def stop(context: Context, job: Job) -> Mapping[str, Any]:
    """Stop what runs, when nothing has changed about what the file was compared with."""
    if job.order == "stop-first":
        stops.stop(context, job)
        # Nobody writes from here on: whatever starts the app meanwhile finds the door shut.
        shut: Mapping[str, Any] = engine(context).shut(context, job)
        return shut
    found: Mapping[str, Any] = engine(context).recheck(context, job)
    return {**found, **stops.stop(context, job)}


def file(context: Context, job: Job) -> Mapping[str, Any]:
    """Write the receipt, lay the file away with the reason beside it, and clear the spool."""
    context.release()
    kept = engine(context).kept(context, job) if not job.verdict else None
    told = receipt.of(context.chosen, job, kept, time.time())
    folder = context.chosen.folder("receipts")
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    durable.write(folder / f"{job.id}.json", json.dumps(told, indent=1, default=str).encode() + b"\n")
    processing, shared = context.processing(job.id), context.shared(job.id)
    if job.order != "undo":
        if "claim" not in job.done:
            claim.fetch(context.chosen.watch, Seen(*job.data["seen"]), processing)
        lay_away(context.chosen.folder(told["outcome"]), processing, job, told)
    fault.point("file:moved")
    for left in (processing, shared):
        sweep(left)
    outcome = str(told["outcome"])
    taken = job.data.get("incoming_oid") if outcome == "done" and job.order == "undo" else None
    return {"outcome": outcome, **({"kept": kept} if kept else {}), **({"used": taken} if taken else {})}


def sweep(folder: Path) -> None:
    """Remove a folder of a job; what cannot be removed is told of and is in nobody's way.

    The loader may be giving up what it was asked, and so put something into it or take it away at the same moment.
    """
    for tries_left in reversed(range(SWEEPS)):
        try:
            if folder.is_dir() and not folder.is_symlink():
                durable.remove(folder)
        except OSError as error:
            if not tries_left:
                line.say("warning", f"{folder}: cannot be removed: {error.strerror}")
            else:
                time.sleep(SWEEP_SECONDS)
        else:
            return


def lay_away(folder: Path, processing: Path, job: Job, told: Mapping[str, Any]) -> None:
    """Move the file to where its outcome says, with the reason beside it."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    name = str(job.data["name"])
    for suffix in ("", *arrivals.BESIDE):
        path = processing / f"{name}{suffix}"
        if path.is_file() and not path.is_symlink():
            shutil.move(path, folder / f"{job.id}-{name}{suffix}")
    if job.verdict:
        durable.write(folder / f"{job.id}-{name}.reason.txt", (str(told["reason"]) + "\n").encode())
    durable.sync(folder)
