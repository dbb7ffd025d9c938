"""`watch`: takes files from the queue, one after the other, for as long as the service runs."""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backup import fault, line, metrics, notice
from backup.error import StopError
from backup.notice import Channels, Event
from restore import arrivals, kept, measures, postgres, receipt, run, settings, steps, switchboard
from restore.arrivals import Seen, Waiting
from restore.context import Context
from restore.job import Job
from restore.journal import BusyError, Journal, Record, UnusableError, opened
from restore.lock import Lock
from restore.settings import Settings
from restore.state import State

ID = re.compile(r"[0-9]{14}[0-9a-f]{6}")
REQUEST = re.compile(r"[0-9]{14}[0-9a-f]{6}\.json")
FOLDERS = ("processing", "done", "rejected", "failed", "receipts", "requests")
WAIT_SECONDS = 2.0
HELD_SECONDS = 30.0
TOLD_SECONDS = 600.0
MOST_CLAIMS = 5
MEASURE_SECONDS = 60.0
# What is kept for so many hours goes also when nothing is restored.
TIDY_SECONDS = 600.0


@dataclass
class Watch:
    """The service: what it works with, and what it has seen of the queue."""

    context: Context
    state: State
    waiting: dict[str, Waiting] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    status: str = "idle"
    measured: tuple[object, ...] = ()
    tidied: float = field(default_factory=time.monotonic)


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Watch the queue until a signal ends it; with --once, until it is empty. Return 1 when that cannot be done."""
    if list(arguments) not in ([], ["--once"]):
        line.say("error", f"watch: got {' '.join(arguments)!r}, wanted nothing or --once")
        return 2
    once = bool(arguments)
    try:
        chosen, channels = settings.read(environ), notice.find(environ)
        board = switchboard.connect(environ) if chosen.stop or chosen.start else Nothing()
        written = State(chosen.state)
        ready(chosen)
        journal = patiently(chosen, written, channels, once)
    except StopError as error:
        line.say("error", str(error))
        return 1
    lock = Lock(chosen.admin) if chosen.admin is not None else None
    service = Watch(Context(chosen, journal, board, channels, lock), written)
    service.context.told = lambda fields: show(service, fields)
    recover(service)
    line.say("info", "watching", folder=str(chosen.watch), database=chosen.database)
    while True:
        worked = turn(service)
        if once and not worked and not service.waiting:
            return 0
        if not worked:
            time.sleep(0.05 if once else chosen.poll)


class Nothing:
    """The switchboard of a service that has nothing to stop or start."""

    def resolve(self, names: Sequence[str]) -> list[switchboard.Unit]:
        """Return nothing."""
        del names
        return []

    def state(self, unit: switchboard.Unit) -> switchboard.Unit:
        """Return the unit as it is."""
        return unit

    def stop(self, unit: switchboard.Unit, timeout: float) -> None:
        """Do nothing."""

    def start(self, unit: switchboard.Unit, timeout: float) -> None:
        """Do nothing."""

    def run_migration(self, release: str, timeout: float) -> switchboard.Ended:
        """Refuse: nobody knows whose migrations."""
        del timeout
        raise switchboard.SwitchboardError(
            f"nothing is named in RESTORE_STOP_CONTAINERS, so the migrations of release {release!r} cannot be run",
            "Name the app there",
            transient=False,
        )


def ready(chosen: Settings) -> None:
    """Make the folders beside the queue; raise StopError for one that this user cannot work in."""
    for folder in (chosen.watch, chosen.spool, *(chosen.folder(name) for name in FOLDERS), chosen.state.parent):
        try:
            folder.mkdir(mode=0o770, parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error.strerror) from None
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise unwritable(folder, "permission denied")
    if chosen.watch.stat().st_dev != chosen.folder("processing").stat().st_dev:
        raise StopError(
            f"RESTORE_WATCH_DIR: {chosen.watch} is on another disk than {chosen.folder('processing')}, so no file can "
            f"be moved there at one moment. Mount the folder above it"
        )


def unwritable(folder: Path, why: str | None) -> StopError:
    """Return the error for a folder that cannot be worked in."""
    return StopError(
        f"{folder}: cannot be worked in as uid {os.getuid()}: {why}. Mount a volume there, or for a host folder run: "
        f"chown {os.getuid()}:{os.getgid()} FOLDER"
    )


def patiently(chosen: Settings, written: State, channels: Channels, once: bool) -> Journal:
    """Open the journal; while another service has it, or it cannot be believed, say so and do nothing."""
    told: dict[str, float] = {}
    while True:
        try:
            return opened(chosen.journal, traces=traces(chosen))
        except (BusyError, UnusableError) as error:
            status = "second" if isinstance(error, BusyError) else "held"
            if once:
                raise
            if status == "held":
                written.write(status, {"reason": str(error)})
            if time.monotonic() - told.get(str(error), -TOLD_SECONDS) >= TOLD_SECONDS:
                told[str(error)] = time.monotonic()
                line.say("warning" if status == "second" else "error", str(error))
                if status == "held":
                    notice.tell(channels, Event("restore-held", {"database": chosen.database, "reason": str(error)}))
            time.sleep(WAIT_SECONDS if status == "second" else HELD_SECONDS)
        except StopError as error:
            if once:
                raise
            line.say("warning", str(error))
            time.sleep(WAIT_SECONDS)


def traces(chosen: Settings) -> Iterator[str]:
    """Tell of what only an earlier journal can have left."""
    for name in ("processing", "receipts"):
        for path in sorted(chosen.folder(name).iterdir()):
            yield str(path)
    if chosen.admin is not None:
        yield from postgres.traces(chosen.admin)


def recover(service: Watch) -> None:
    """Take up the job that the last service did not end, and clear away what belongs to none."""
    context = service.context
    last = context.journal.last_job()
    if last and not context.job(last).ended:
        job = context.job(last)
        line.say("warning", "a restore was cut off: it is taken up again", job=last, step=job.step)
        context.write(last, job.step or "claim", "boot", {})
        work(service, last)
    for folder in (context.chosen.spool, context.chosen.folder("processing")):
        for path in folder.iterdir():
            if ID.fullmatch(path.name):
                steps.sweep(path)


def turn(service: Watch) -> bool:
    """Look at the queue once and do the first job in it; tell whether there was one."""
    context = service.context
    try:
        found = arrivals.look(context.chosen.watch)
    except StopError as error:
        line.say("error", str(error))
        service.state.write("held", {"reason": str(error)})
        return False
    for name in sorted(found.ignored.keys() - service.ignored.keys()):
        line.say("warning", f"{name[:80]!r} lies in the queue and is passed over: {found.ignored[name]}")
    service.ignored = found.ignored
    service.waiting, still = arrivals.settle(service.waiting, found.files, context.chosen.settle)
    # One that could not even be moved out of the way lies there until somebody sees to it.
    stuck = [seen for seen in still if claims(context, seen) > MOST_CLAIMS]
    for seen in stuck:
        service.waiting.pop(seen.name, None)
    still = [seen for seen in still if seen not in stuck]
    request = next(iter(requests(context.chosen)), None)
    if request is not None:
        begin_undo(service, request)
    elif still:
        begin(service, still[0])
    else:
        if time.monotonic() - service.tidied > TIDY_SECONDS:
            service.tidied = time.monotonic()
            tidy(context)
        show(service, {})
        return False
    return True


def begin(service: Watch, seen: Seen) -> None:
    """Begin a job for a file."""
    context = service.context
    job, count = new_id(), claims(context, seen)
    fields = {"name": seen.name, "seen": list(seen), "order": context.chosen.order}
    context.write(job, "claim", "begin", fields)
    if count >= MOST_CLAIMS:
        # Each time it was taken something ended this service; it is not taken for ever.
        context.write(job, "claim", "fail", {"verdict": "rejected", "reason": f"taking it failed {count} times"})
    service.waiting.pop(seen.name, None)
    work(service, job)


def claims(context: Context, seen: Seen) -> int:
    """Return how often just this file has been begun with and not been taken."""
    begun, taken = set(), set()
    for record in context.journal.records:
        if (record.step, record.phase) == ("claim", "begin") and record.data.get("seen", [])[1:5] == list(seen[1:5]):
            begun.add(record.job)
        elif (record.step, record.phase) == ("claim", "done"):
            taken.add(record.job)
    return len(begun - taken)


def begin_undo(service: Watch, path: Path) -> None:
    """Begin the job of going back to a kept database."""
    context = service.context
    try:
        asked = json.loads(path.read_bytes()[:65_536])
        wanted, who = str(asked.get("job", "")), str(asked.get("who", ""))[:200]
    except (OSError, ValueError, AttributeError):
        wanted = who = ""
    path.unlink(missing_ok=True)
    there = kept.of(context.journal.records)
    chosen = next((one for one in reversed(there) if wanted in ("", one.job)), None)
    if chosen is None:
        line.say("error", "undo: there is no such database to go back to", asked=wanted)
        return
    job = new_id()
    fields = {
        "order": "undo", "name": "", "incoming": chosen.name, "new_oid": chosen.oid, "incoming_oid": chosen.oid,
        "written": chosen.written, "who": who, "source": f"the database before restore {chosen.job}", "kind": "undo",
    }  # fmt: skip
    context.write(job, "claim", "begin", fields)
    work(service, job)


def requests(chosen: Settings) -> list[Path]:
    """Return what people asked for besides files, oldest first."""
    return sorted(path for path in chosen.folder("requests").iterdir() if REQUEST.fullmatch(path.name))


def new_id() -> str:
    """Return the name of a new job, which sorts by time."""
    now = datetime.now(UTC)
    # Two within a second, too: whoever asks for the newest of them would else be told of either.
    return f"{now:%Y%m%d%H%M%S}{now.microsecond:05x}{secrets.token_hex(1)[:1]}"


def work(service: Watch, job: str) -> None:
    """Do a job to its end, then drop what is kept no more."""
    context = service.context
    service.status = "working"
    try:
        run.run(context, job)
    finally:
        service.status = "idle"
        context.release()
    tidy(context)
    show(service, {})


def tidy(context: Context) -> None:
    """Drop the databases that are kept no more, and begin a large journal anew."""
    there = kept.of(context.journal.records)
    for one in kept.surplus(there, context.chosen.keep, context.chosen.keep_hours, time.time()):
        fault.point("prune:before")
        try:
            steps.engine(context).forget(context, one.name, one.oid)
        except StopError as error:
            line.say("warning", f"{one.name} is kept for now: {error}")
            continue
        fault.point("prune:after")
        context.journal.append(Record("", "prune", "done", round(time.time(), 3), {"oid": one.oid}))
        line.say("info", "a database that was live before is kept no more", name=one.name)
    context.journal.trim(kept.document(kept.of(context.journal.records)))


def show(service: Watch, fields: Mapping[str, Any]) -> None:
    """Write the state file and the metrics."""
    context = service.context
    last = context.journal.last_job()
    job = context.job(last) if last else None
    told: dict[str, Any] = {"queue": sorted(service.waiting), "database": context.chosen.database}
    status = "held" if "held" in fields else service.status
    if job is not None and not job.ended:
        told["job"] = about(job, fields)
    service.state.write(status, told)
    if context.chosen.metrics is not None and not fields:
        measure(service, context.chosen.metrics, status)


def measure(service: Watch, path: Path, status: str) -> None:
    """Write the metrics where something about them has changed, and now and then where nothing has."""
    context = service.context
    now = (status, len(service.waiting), len(context.journal.records), int(time.monotonic() // MEASURE_SECONDS))
    if now == service.measured:
        return
    service.measured = now
    receipts = receipt.read(context.chosen.folder("receipts"))
    there = kept.of(context.journal.records)
    try:
        metrics.write(path, measures.render(receipts, status, len(service.waiting), len(there)))
    except OSError as error:
        line.say("warning", f"{path}: cannot be written: {error.strerror}")


def about(job: Job, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the state file says of a job that is under way."""
    return {
        "id": job.id,
        "kind": "undo" if job.order == "undo" else "restore",
        "file": job.data.get("name", ""),
        "step": job.step,
        "done": [step for step in job.steps if step in job.done],
        "began": receipt.moment(job.times.get("claim.begin.first")),
        "reason": job.reason,
        "progress": dict(fields),
    }
