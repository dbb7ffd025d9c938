"""One move of the schema, up or down, and what the ledger says about it."""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial

import structlog
from alembic import context
from alembic.util import CommandError
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from . import blockers, database, ledger, records, releases, schema, server, steps
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)


class Move:
    """One move of the schema: each attempt is one transaction, and the ledger's row says in it what came of it."""

    def __init__(self, engine: Engine, settings: Settings, step: ledger.Step | None) -> None:
        self.engine = engine
        self.settings = settings
        self.step = step
        self.before: tuple[str, ...] = ()
        self.began: datetime | None = None
        self.recorded = False
        self.held_up_by: list[str] = []

    def make(self) -> None:
        """Move the schema; raise `CommandError` when a lock or a statement took too long, with nothing changed."""
        clock = time.monotonic()
        self.before = steps.present(self.engine)
        with self.engine.connect() as connection:
            ahead = is_newer_and_compatible(connection, self.before, self.step)
        needed = not ahead and set(self.before) != schema.heads()
        try:
            server.patiently(self.settings, partial(self.open, needed=needed))
            if ahead:
                self.close(self.before)
                log.info(
                    "the schema is newer than this image and compatible, nothing to do", revision=list(self.before)
                )
                return
            after = server.patiently(self.settings, self.migrate)
        except DBAPIError as error:
            self.fail()
            raise self.explained(error) from None
        except BaseException:
            self.fail()
            raise
        log.info(
            "schema is up to date" if self.before == after else "schema changed",
            before=list(self.before),
            after=list(after),
            seconds=round(time.monotonic() - clock, 2),
        )

    def open(self, *, needed: bool) -> None:
        """Say in the ledger that this begins, in a transaction of its own: one that is killed leaves the row open."""
        self.recorded = False
        with self.engine.begin() as connection:
            self.began = releases.clock(connection)
            if self.step is None:
                return
            if not releases.exists(connection):
                self.recorded = self.step == "upgrade"
                return
            changes = ledger.begin(releases.rows(connection), self.settings.release, self.step, needed=needed)
            words = releases.schema_words(self.before)
            releases.write(connection, self.settings, changes, before=words, after=words)
            self.recorded = any(change.id is None for change in changes)

    def migrate(self) -> tuple[str, ...]:
        """Run the steps and record them, all or nothing, and return where the schema is then."""
        # A few looks within each wait for a lock.
        every = self.settings.migration_lock_timeout / 4
        with (
            self.engine.connect() as connection,
            blockers.watched(self.engine, connection, every) as self.held_up_by,
        ):
            steps.configure(connection)
            with context.begin_transaction():
                context.run_migrations()
                if self.step == "upgrade":
                    for taken in records.make_read_only(connection):
                        log.info("the records are for reading", taken=taken)
                after = tuple(context.get_context().get_current_heads())
                self.record(connection, after, succeeded=True)
            # SQLite has no transaction around the steps.
            connection.commit()
        return after

    def record(self, connection: Connection, after: tuple[str, ...], *, succeeded: bool) -> None:
        """Close this move's row in the ledger, where the schema has one now and this move has a row."""
        if not self.recorded or self.step is None or not releases.exists(connection):
            return
        changes = ledger.end(releases.rows(connection), self.step, succeeded=succeeded)
        releases.write(
            connection,
            self.settings,
            changes,
            before=releases.schema_words(self.before),
            after=releases.schema_words(after),
            began=self.began,
        )

    def close(self, after: tuple[str, ...]) -> None:
        """Close the row of a move that had nothing to do."""
        with self.engine.begin() as connection:
            self.record(connection, after, succeeded=True)

    def fail(self) -> None:
        """Close the row of a move that failed; where the database cannot be asked any more, the next one does it."""
        try:
            now = steps.present(self.engine)
            with self.engine.begin() as connection:
                self.record(connection, now, succeeded=False)
        except SQLAlchemyError as error:
            log.warning("the ledger could not be told of the failure", error=database.reason(error))

    def explained(self, error: DBAPIError) -> Exception:
        """Return the error that says what to do about a bound that was reached, or the error itself."""
        state = server.state_of(error)
        if state == server.LOCKED:
            return CommandError(
                f"a table stayed locked by another session for {self.settings.migration_lock_timeout:g} s, "
                f"{self.settings.migration_lock_attempts} times, {self.left()}: "
                f"{', '.join(self.held_up_by) or 'nobody was seen to hold it'}. Let that session end, try more "
                "often with MIGRATION_LOCK_ATTEMPTS or wait longer with MIGRATION_LOCK_TIMEOUT, and run this again"
            )
        if state == server.STATEMENT_TOOK_TOO_LONG:
            return CommandError(
                f"a statement ran for more than {self.settings.migration_statement_timeout:g} s, {self.left()}: "
                "allow more with MIGRATION_STATEMENT_TIMEOUT, and run this again"
            )
        return error

    def left(self) -> str:
        """Say what the failed move left: nothing, unless a step ended the transaction by itself."""
        try:
            now = steps.present(self.engine)
        except SQLAlchemyError:
            return "and the database cannot be asked what was changed"
        return "and nothing was changed" if now == self.before else f"and the schema is at {' and '.join(now)} now"


def is_newer_and_compatible(connection: Connection, present: tuple[str, ...], step: ledger.Step | None) -> bool:
    """Tell whether the schema is at a revision of a later image that this one works with; raise when it does not."""
    unknown = [revision for revision in present if revision not in schema.links()]
    if not unknown:
        return False
    maker = schema.maker_of(connection, unknown[0])
    image = f"the image of release {maker}" if maker else f"the image that knows {unknown[0]}"
    if step != "upgrade":
        raise CommandError(f"this image does not know revision {unknown[0]} and can only leave it: use {image}")
    ours = schema.heads()
    verdict = schema.check(connection, ours)
    if verdict.ready:
        return True
    applied = schema.steps_of(connection)
    back = [head for head in ours if all(schema.leads_to(revision, head, applied) for revision in present)]
    if not back:
        raise CommandError(f"{verdict.words}, and does not lead back to it: deploy {image}, or restore a backup")
    raise CommandError(
        f"{verdict.words}, and a step between is not declared compatible: with {image}, run flask --app "
        f"scaffold:create_app db downgrade {back[0]}, and this again; or restore a backup of before that step"
    )
