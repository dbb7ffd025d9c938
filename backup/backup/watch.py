"""Watches over the database's archive, beside the schedule: asks every minute, and tells each thing once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from backup import connection, durable, line, notice, pitr, program, setting, url
from backup.error import StopError
from backup.notice import Channels, Event
from backup.pitr import Memory, Seen
from backup.url import Postgres

NAME = ".archive.json"
QUESTION = "SELECT public.archive_state()"
# Where the server tells of itself, whichever database is backed up.
DATABASE = "postgres"
EVERY_SECONDS = 60.0
# A channel that is away for a while must not cost an alarm, nor be waited for all the time.
UNTOLD_SECONDS = 600.0
ANSWER_SECONDS = 20.0
LINES = {
    "archive-gap": "the database's archive has a gap: no moment in it can be gone back to",
    "archive-failing": "the database's archive is in trouble",
    "archive-recovered": "the database's archive works again",
}


class Watch:
    """What is asked, where that is remembered, and who is told."""

    def __init__(self, target: Postgres, folder: Path, channels: Channels, alive: Callable[[], None]) -> None:
        """Take up what was told before; `alive` is called before each notice, as one may take long."""
        self.target = target
        self.path = folder / NAME
        self.channels = channels
        self.alive = alive
        self.due = time.monotonic()
        self.seen: Seen | None = None
        self.memory = read(self.path)

    def look(self) -> None:
        """Ask when a minute has passed, and tell what is to be told; what nobody takes is told again after some."""
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + EVERY_SECONDS
        self.seen = ask(self.target)
        after, events = pitr.decide(self.memory, self.seen, time.time())
        for event in events:
            self.alive()
            if not tell(self.channels, self.target.database, event):
                after = pitr.untold(after, self.memory, event)
                self.due = time.monotonic() + UNTOLD_SECONDS
        if after == self.memory:
            return
        # Told is told, also where that cannot be written down.
        self.memory = after
        try:
            durable.write(self.path, pitr.render(after).encode())
        except OSError as error:
            line.say("warning", f"{self.path}: {error.strerror}. What was told of the archive is told again some day")


def find(environ: Mapping[str, str], folder: Path, channels: Channels, alive: Callable[[], None]) -> Watch | None:
    """Return the watch where the database has an archive; raise StopError where it cannot have one."""
    if not setting.truth("BACKUP_PITR", environ):
        return None
    target = url.find(environ)
    if not isinstance(target, Postgres):
        raise StopError("BACKUP_PITR: got true, wanted false beside an SQLite database: it has no archive")
    return Watch(target, folder, channels, alive)


def read(path: Path) -> Memory:
    """Return what was told before; what cannot be read is begun anew."""
    try:
        return pitr.remembered(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, TypeError):
        line.say("warning", f"{path} cannot be read and is begun anew: what was told of the archive is told again")
        return Memory()


def ask(target: Postgres) -> Seen:
    """Return how the archive is, as the database says; one that says nothing is in trouble too.

    A program asks, which can be ended: a server that hangs in the middle of an answer must not stop the schedule.
    """
    there = target._replace(keywords={**target.keywords, "dbname": DATABASE})
    command = ("psql", "--no-psqlrc", "--no-password", "--quiet", "--no-align", "--tuples-only")
    try:
        with connection.access(there) as access:
            said = program.output(
                [*command, f"--dbname={access.conninfo}", f"--command={QUESTION}"],
                seconds=ANSWER_SECONDS, environ=access.environ, descriptors=access.descriptors,
            )  # fmt: skip
    except StopError as error:
        return Seen(f"the database does not say how it is: {error}"[: pitr.MOST_WORDS], None)
    return pitr.read(said.strip())


def tell(channels: Channels, database: str, event: Event) -> bool:
    """Tell an event here and to the channels, and return whether it was taken."""
    line.say("info" if event.name == "archive-recovered" else "error", LINES[event.name], **event.fields)
    return notice.tell(channels, Event(event.name, {"database": database, **event.fields}))
