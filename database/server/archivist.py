"""`archive`: beside the server, keeps its archive: makes backups when they are due, and says where it has a gap."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from server import (
    archiving,
    bulletin,
    cluster,
    due,
    line,
    metrics,
    pgbackrest,
    psql,
    reach,
    repository,
    roles,
    volume,
    window,
)
from server.archiving import Archiving
from server.error import StopError
from server.reach import Archive
from server.repository import Contents

MOST_LOOK_SECONDS = 60.0
GAP_SECONDS = 900.0
"""A gap is answered with a full backup, but one that keeps coming back not with one after another."""
AGAIN_SECONDS = 60.0
TELL_SECONDS = 600.0
NICENESS = 10
UNKNOWN = "what is in the archive cannot be told"
SEGMENT = re.compile(r"[0-9A-F]{24}")
STATE = """
SELECT json_build_object(
    'timeline', (SELECT timeline_id FROM pg_control_checkpoint()),
    'failed', (SELECT last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver),
    'wal', (SELECT last_failed_wal FROM pg_stat_archiver),
    'archived', (SELECT last_archived_wal FROM pg_stat_archiver),
    'waiting', (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'));
"""


class Stopped(BaseException):  # an order, which nothing may take for an error
    """The server stops, and this with it."""


class Seen(NamedTuple):
    """What the server says of its archiving."""

    timeline: int
    failing: str
    waiting: int
    archived: str


def main() -> int:
    """Keep the archive until told to stop, and return 0; 1 where the settings cannot be used."""
    signal.signal(signal.SIGTERM, ordered)
    # The server shares this container's processors, and goes first.
    os.nice(NICENESS)
    try:
        Archivist(archiving.needed(os.environ)).work()
    except StopError as error:
        line.say("error", str(error))
        return 1
    except Stopped:
        pass
    return 0


def ordered(*_: object) -> None:
    """Follow the order to stop, wherever this is."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


class Archivist:
    """What keeps the archive, and what it has said of it so far."""

    def __init__(self, plan: Archiving) -> None:
        """Keep it by these settings."""
        self.plan = plan
        self.told: dict[str, tuple[str, float]] = {}
        self.gaps: set[tuple[int, int, int]] = set()
        self.answered = -GAP_SECONDS
        self.known = Contents([], Archive({}, {}))

    def work(self) -> None:
        """Prepare the repository, then look after it as often as there is something new in it, for ever."""
        while not self.attempt("prepare the repository", self.prepare):
            self.attempt("look at the queue", lambda: hurry(asked(), self.plan))
            time.sleep(AGAIN_SECONDS)
        while True:
            self.attempt("look after the archive", self.look_after)
            time.sleep(min(2.0 * self.plan.segment_seconds, MOST_LOOK_SECONDS))

    def attempt(self, what: str, step: Any) -> bool:
        """Take a step and return whether it went well; what went wrong is said, and again only after a while."""
        try:
            step()
        except (pgbackrest.ToolError, psql.SqlError, OSError, subprocess.SubprocessError) as error:
            self.say_sometimes("error", what, f"cannot {what}: {error}")
            bulletin.write(volume.DATA, f"cannot {what}")
            return False
        if self.told.pop(what, None):
            line.say("info", f"it works again to {what}")
        return True

    def say_sometimes(self, level: str, what: str, text: str, **fields: object) -> None:
        """Say something that may go on for long: when it is new, and every ten minutes."""
        before, at = self.told.get(what, ("", 0.0))
        if before != text or time.monotonic() - at > TELL_SECONDS:
            self.told[what] = (text, time.monotonic())
            line.say(level, text, **fields)

    def prepare(self) -> None:
        """Wait for the server, and make what pgBackRest keeps of a cluster; raise ToolError where it is another's."""
        while not cluster.is_ready(volume.DATA):
            time.sleep(0.2)
        began = time.monotonic()
        # It takes the lock of pushes, and a push that has just been begun then waits a minute for nobody.
        if not is_made(pgbackrest.info()):
            pgbackrest.run("stanza-create")
        pgbackrest.run("check", "--archive-timeout=60")
        line.say("info", "the archive works", seconds=round(time.monotonic() - began, 3))

    def look_after(self) -> None:
        """Make the backup that is due; say what fails and what is missing; note what can be reached."""
        if not cluster.is_ready(volume.DATA):
            return
        seen = asked()
        hurry(seen, self.plan)
        try:
            contents = self.known = repository.look()
        except pgbackrest.ToolError:
            note(seen, self.known, UNKNOWN)
            raise
        self.judge(seen, contents)
        post(seen, contents)
        mine = [backup for backup in contents.backups if backup.timeline == seen.timeline]
        gap = bool(mine) and is_behind_a_gap(contents, seen.timeline)
        gap = gap and time.monotonic() - self.answered >= GAP_SECONDS
        kind = due.kind(time.time(), mine, self.plan, gap=gap)
        if kind:
            self.back_up(kind, contents)
            self.answered = time.monotonic() if gap else self.answered
            # It may have taken hours.
            seen, contents = asked(), repository.look()
            post(seen, contents)
            self.known = contents
        note(seen, contents, wrong(seen, contents))

    def judge(self, seen: Seen, contents: Contents) -> None:
        """Say what is wrong with the archive."""
        if trouble := wrong(seen, contents):
            self.say_sometimes("error", "archiving", trouble)
        elif self.told.pop("archiving", None):
            line.say("info", "archiving works again")
        found = set(reach.gaps(*contents))
        for timeline, first, last in sorted(found - self.gaps):
            line.say(
                "error",
                "the archive has a gap: what was committed in it cannot be reached",
                first=repository.name_of(timeline, first),
                last=repository.name_of(timeline, last),
            )
        self.gaps = found

    def back_up(self, kind: str, before: Contents) -> None:
        """Make a backup, and give up what is too old."""
        with repository.held() as free:
            if not free:
                line.say("info", "a restore reads the repository: the backup waits")
                return
            began = time.time()
            _, warnings = pgbackrest.run(
                "backup", f"--type={kind}", seconds=pgbackrest.LONG_SECONDS,
                still=lambda passed: self.still(kind, passed, before),
            )  # fmt: skip
            if due.may_expire(began, max((each.ended for each in before.backups), default=None), self.plan):
                warnings += pgbackrest.run(
                    "expire", seconds=pgbackrest.LONG_SECONDS, still=lambda passed: self.still(kind, passed, before)
                )[1]
                repository.REMOTE.forget()
            after = repository.look()
        newest = max(after.backups, key=lambda backup: backup.began)
        line.say(
            "warning" if warnings else "info", "backup made", label=newest.label, kind=newest.kind, bytes=newest.size,
            seconds=round(time.time() - began, 1), reach=window.in_words(after), warnings=warnings,
        )  # fmt: skip

    def still(self, kind: str, passed: int, before: Contents) -> None:
        """Say that a backup goes on, and whether archiving does; where the server does not say, nobody is told."""
        line.say("info", "the backup goes on", kind=kind, seconds=passed)
        with contextlib.suppress(psql.SqlError, OSError):
            seen = asked()
            hurry(seen, self.plan)
            post(seen._replace(archived=""), before)


def is_made(told: Mapping[str, Any]) -> bool:
    """Return whether a repository, as pgBackRest tells of it, has been made for a cluster; its check says for which."""
    return bool(told.get("db")) and bool(told.get("archive"))


def hurry(seen: Seen, plan: Archiving) -> None:
    """End a push where more waits than may.

    One that tries a bucket that is away does so for minutes, with each segment that it began with, and looks at the
    queue only when it begins: the next one does, and lets go of it.
    """
    if seen.waiting * reach.SEGMENT_BYTES > plan.queue_mb << 20:
        pgbackrest.end_pushes()


def asked() -> Seen:
    """Return what the server says; raise SqlError."""
    said = roles.ask("postgres", STATE)
    failing = str(said["wal"]) if said["failed"] else ""
    return Seen(int(said["timeline"]), failing, int(said["waiting"]), str(said["archived"] or ""))


def wrong(seen: Seen, contents: Contents) -> str:
    """Return what is wrong with archiving; nothing where it works."""
    if seen.failing:
        return f"archiving fails: {seen.waiting} segments wait, from {seen.failing} on"
    if was_let_go(seen.archived, contents):
        return f"archiving fails: {seen.archived} is not in the archive, and the server waits for it no longer"
    return ""


def was_let_go(name: str, contents: Contents) -> bool:
    """Return whether the server takes a segment for archived that is not in the archive."""
    if not SEGMENT.fullmatch(name):
        return False
    timeline, segment = repository.numbers(name)
    return segment not in contents.archive.segments.get(timeline, {})


def is_behind_a_gap(contents: Contents, timeline: int) -> bool:
    """Return whether no backup leads to the last archived segment of a timeline."""
    there = contents.archive.segments.get(timeline)
    if not there:
        return False
    reached = (reach.stretch(contents.archive, each, timeline) for each in contents.backups)
    return not any(found and found.last == max(there) for found in reached)


def post(seen: Seen, contents: Contents) -> None:
    """Let the server tell how the archive is."""
    # An archive that is empty all of a sudden does not make the gaps good.
    gaps = list(reach.gaps(*contents)) if contents.archive.segments else None
    bulletin.write(volume.DATA, wrong(seen, contents), gaps)


def note(seen: Seen, contents: Contents, trouble: str) -> None:
    """Keep beside the repository what can be reached, and what is wrong, for whoever watches over it."""
    kinds: Sequence[str] = ("full", "diff")
    failing = seen.failing or (seen.archived if was_let_go(seen.archived, contents) else "")
    ends = {kind: max((each.ended for each in contents.backups if each.kind == kind), default=0) for kind in kinds}
    document = {
        "at": line.timestamp(time.time()),
        "trouble": trouble,
        "failing": failing,
        "waiting": seen.waiting,
        "last": {kind: line.timestamp(end) if end else "" for kind, end in ends.items()},
        **window.described(contents),
    }
    volume.write(archiving.STATUS, json.dumps(document, indent=1) + "\n")
    told = metrics.render(time.time(), contents, seen.waiting, failing=bool(trouble))
    volume.write(archiving.METRICS, told)
