"""`schedule`: runs backups when they are due, one at a time, each as a process of its own, until it is stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backup import (
    catalogue,
    clock,
    cron,
    line,
    metrics,
    newest,
    notice,
    program,
    setting,
    settings,
    state,
    throwaway,
    timetable,
    url,
    watch,
)
from backup.cron import Cron
from backup.error import StopError
from backup.notice import Channels, Event
from backup.settings import Settings
from backup.state import State
from backup.watch import Watch

DEFAULT = "30 3 * * *"
DRILL_DEFAULT = "0 5 * * sun"
NEVER = "never"
# By its age `probe-backup` knows whether this program still looks at the clock.
MARK = Path("/tmp/schedule")  # noqa: S108 - the container's own, which nobody else writes to
# The clock may be set while this sleeps, so it looks again and again.
LOOK_SECONDS = 15.0
STOP_SECONDS = 25.0
ALARM_AGAIN = timedelta(days=1)


@dataclass(frozen=True)
class Service:
    """What the schedule is made of."""

    chosen: Settings
    schedule: Cron
    drill: Cron | None
    limit: timedelta
    channels: Channels
    metrics: Path | None
    database: str
    began: datetime
    watch: Watch | None


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Run the schedule until a signal ends it; return 1 when the settings are unusable."""
    try:
        service = prepare(environ)
        lock = catalogue.claim(service.chosen.folder, wait=True)
        throwaway.clear(service.chosen.work)
        # What there is may have been found, brought or taken away while nothing ran.
        newest.write(service.chosen)
        os.close(lock)
    except StopError as error:
        line.say("error", str(error))
        return 1
    decision = timetable.decide(service.schedule, service.chosen.zone, service.began, state.read(service.chosen.folder))
    line.say("info", "the schedule is on", database=service.database, next=decision.next.isoformat())
    alarmed: datetime | None = None
    while True:
        look(service)
        now = datetime.now(UTC)
        before = state.read(service.chosen.folder)
        decision = timetable.decide(service.schedule, service.chosen.zone, now, before)
        if decision.run:
            line.say("info", "a run is due", why=decision.why)
            run(service)
            continue
        if drill_is_due(service, now, before):
            line.say("info", "a drill is due: the newest backup is restored as if it were needed")
            drill(service)
            continue
        late = timetable.overdue(before, now, service.began, service.limit)
        alarmed = alarm(service, before, now, alarmed) if late else None
        record(service, before, now, decision.next, late)
        time.sleep(max(0.0, min(LOOK_SECONDS, (decision.next - now).total_seconds())))


def prepare(environ: Mapping[str, str]) -> Service:
    """Return the service that the settings ask for; raise StopError that names the one that is unusable."""
    chosen = settings.read(environ)
    chosen.key()
    channels = notice.find(environ)
    drill = setting.read("BACKUP_DRILL_SCHEDULE", environ) or DRILL_DEFAULT
    path = environ.get("BACKUP_METRICS_FILE")
    return Service(
        chosen=chosen,
        schedule=parsed("BACKUP_SCHEDULE", setting.read("BACKUP_SCHEDULE", environ) or DEFAULT),
        drill=None if drill == NEVER else parsed("BACKUP_DRILL_SCHEDULE", drill),
        limit=timedelta(hours=setting.number("BACKUP_MAX_AGE_HOURS", 26, 1, 24 * 366, environ)),
        channels=channels,
        metrics=Path(path) if path else None,
        database=url.find(environ).database,
        began=datetime.now(UTC),
        watch=watch.find(environ, chosen.folder, channels, MARK.touch),
    )


def parsed(name: str, text: str) -> Cron:
    """Return the schedule of a setting; raise StopError that names it when it means nothing."""
    try:
        return cron.parse(text)
    except ValueError as error:
        raise StopError(f"{name}: {error}") from None


def look(service: Service) -> None:
    """Show that this program is well, and see to what else is looked at all the time."""
    MARK.touch()
    if service.watch:
        service.watch.look()


def command(service: Service, *words: str) -> int:
    """Give one command in a process of its own, and return its exit status.

    What it held is free afterwards, and a crash of it is not this one's.
    """
    with subprocess.Popen([*program.LEASH, sys.executable, "-m", "backup", *words, "--wait"]) as process:
        try:
            return ended(service, process)
        except BaseException:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def run(service: Service) -> None:
    """Make one backup."""
    before = state.read(service.chosen.folder).last_run
    status = command(service, "run")
    after = state.read(service.chosen.folder)
    if after.last_run == before or after.last_result == state.UNFINISHED:
        # It came to no end of its own, or could not write: without this it would be due again at once, and for ever.
        line.say("error", "a run ended without a result", status=status)
        # It may have ended after there was a backup.
        newest.write(service.chosen)
        failed(service, after, status)


def ended(service: Service, process: subprocess.Popen[bytes]) -> int:
    """Return the exit status of a run once it has ended; until then all else goes on."""
    while True:
        look(service)
        try:
            return process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def failed(service: Service, after: State, status: int) -> None:
    """Note a failure that the run could not note itself; where that is impossible too, wait before the next try."""
    try:
        noted = state.after_run(after, clock.read(), 0.0, f"the run ended with status {status} and no result")
        state.write(service.chosen.folder, noted)
    except OSError as error:
        line.say("error", f"{service.chosen.folder}: {error.strerror}. The next try is in five minutes")
        time.sleep(timetable.RETRIES[0].total_seconds())
        return
    notice.tell(service.channels, Event("failure", {"database": service.database, "error": noted.last_error}))


def drill_is_due(service: Service, now: datetime, before: State) -> bool:
    """Tell whether to try a restore of the newest backup now; one that is encrypted takes the key's file for that."""
    if service.drill is None:
        return False
    sealed = bool(service.chosen.recipients)
    if sealed and service.chosen.identity is None:
        return False
    return timetable.drill_due(service.drill, service.chosen.zone, now, before, sealed=sealed)


def drill(service: Service) -> None:
    """Try a restore of the newest backup; what comes of it is told and noted by whoever tries it."""
    before = state.read(service.chosen.folder).last_drill
    status = command(service, "drill")
    after = state.read(service.chosen.folder)
    if after.last_drill != before:
        return
    # As with a run: without this it would be due again at once.
    line.say("error", "a drill ended without a result", status=status)
    about = f"the drill ended with status {status} and no result"
    try:
        noted = replace(after, last_drill=datetime.now(UTC).timestamp(), last_drill_result="failure")
        state.write(service.chosen.folder, noted)
    except OSError as error:
        line.say("error", f"{service.chosen.folder}: {error.strerror}. The next try is in five minutes")
        time.sleep(timetable.RETRIES[0].total_seconds())
    notice.tell(service.channels, Event("drill-failure", {"database": service.database, "error": about}))


def alarm(service: Service, before: State, now: datetime, alarmed: datetime | None) -> datetime:
    """Tell that the last success is too long ago, once a day; return when that was told."""
    if alarmed is not None and now - alarmed < ALARM_AGAIN:
        return alarmed
    last = datetime.fromtimestamp(before.last_success, UTC).isoformat() if before.last_success else "never"
    line.say("error", "no backup has succeeded for too long", last_success=last, limit=str(service.limit))
    notice.tell(service.channels, Event("overdue", {"database": service.database, "last_success": last}))
    return now


def record(service: Service, before: State, now: datetime, following: datetime, late: bool) -> None:
    """Write the metrics, where they are asked for."""
    if service.metrics is None:
        return
    seen = service.watch.seen if service.watch else None
    try:
        entries = catalogue.entries(service.chosen.folder, service.chosen.keys)
        metrics.write(service.metrics, metrics.render(before, entries, now, following, late, seen))
    except (OSError, StopError) as error:
        line.say("warning", f"{service.metrics}: the metrics could not be written: {error}")
