"""Slowing down those who guess: counted in the database, so that all workers and replicas count together.

A try is counted before it is looked at and taken back when it was right: however many come at once, no more of them are
looked at than were allowed.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import LargeBinary, String, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from .database import Model, db
from .moments import Moment, now

SWEPT_AT_ONCE = 100


class Throttle(Model):
    """How often something was guessed wrong, and until when it is not listened to."""

    __tablename__ = "throttles"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    scope: Mapped[str] = mapped_column(String(32))
    failures: Mapped[int]
    locks: Mapped[int]
    blocked_until: Mapped[datetime | None] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment, index=True)


@dataclass(frozen=True)
class Policy:
    """So many tries are free; then one is not listened to for a time, which grows, and after that so many `again`."""

    scope: str
    free: int
    again: int
    first: timedelta
    longest: timedelta
    growth: int = 2
    forgotten: timedelta = timedelta(days=1)


# All who guess at one account together: five tries, then a quarter of an hour, then half an hour …
ACCOUNT = Policy("account", 5, 5, timedelta(minutes=15), timedelta(days=1), forgotten=timedelta(days=2))
# One who guesses at one account: the second try in a row costs a second, the next one two …
PLACE = Policy("place", 2, 1, timedelta(seconds=1), timedelta(minutes=15))
# Somebody who has the password already, and guesses at the second factor.
FACTOR = Policy("factor", 5, 5, timedelta(minutes=15), timedelta(minutes=15), 1, timedelta(minutes=15))


def of(email: str, user_id: uuid.UUID) -> tuple[tuple[Policy, tuple[str, ...]], ...]:
    """Return under what tries at an account are counted, from wherever they come."""
    return (ACCOUNT, (email.casefold(),)), (FACTOR, (str(user_id),))


@dataclass(frozen=True)
class State:
    """What is known about tries at something."""

    failures: int = 0
    locks: int = 0
    blocked_until: datetime | None = None
    changed_at: datetime | None = None


def counted(state: State, policy: Policy, at: datetime) -> State:
    """Return what is known once another try is counted, which is listened to."""
    last = state.blocked_until or state.changed_at
    if last is not None and at - last >= policy.forgotten:
        state = State()
    failures, locks = state.failures + 1, state.locks
    if failures < (policy.again if locks else policy.free):
        return State(failures, locks, None, at)
    # Never a number that no calendar has.
    pause = min(policy.longest, policy.first * policy.growth ** min(locks, 32))
    return State(0, locks + 1, at + pause, at)


@dataclass(frozen=True)
class Try:
    """A try that was counted; `locked` names what is not listened to after it, if it was wrong."""

    keys: tuple[bytes, ...]
    locked: frozenset[str] = frozenset()


class Blocked(Exception):  # noqa: N818 - it is an answer, not a fault
    """Something is not listened to for so many seconds."""

    def __init__(self, scope: str, until: datetime) -> None:
        super().__init__(scope)
        self.scope = scope
        self.seconds = max(1, round((until - now()).total_seconds()))


def key_of(policy: Policy, *words: str) -> bytes:
    """Return by what tries at something are found; what was guessed at is not to be read out of it."""
    told = "".join(f"{len(word)}:{word}" for word in (policy.scope, *words))
    return hashlib.sha256(told.encode()).digest()


def attempt(*asked: tuple[Policy, tuple[str, ...]]) -> Try:
    """Count a try under each policy, and commit; raise `Blocked`, with nothing written, when one does not listen."""
    at = now()
    wanted = {key_of(policy, *words): policy for policy, words in asked}
    # In one order for everybody, so that no two wait for each other.
    locked = frozenset(wanted[key].scope for key in sorted(wanted) if count(key, wanted[key], at))
    sweep(at)
    db.session.commit()
    return Try(tuple(wanted), locked)


def listen(*asked: tuple[Policy, tuple[str, ...]]) -> None:
    """Raise `Blocked` when one of the policies does not listen; without a lock, as a flood is to cost little."""
    at = now()
    wanted = {key_of(policy, *words): policy for policy, words in asked}
    rows = db.session.execute(select(Throttle.key, Throttle.blocked_until).where(Throttle.key.in_(wanted)))
    for key, until in rows.all():
        require_open(until, wanted[key], at)


def require_open(until: datetime | None, policy: Policy, at: datetime) -> None:
    """Raise `Blocked` while something is not listened to."""
    if until is not None and until > at:
        db.session.rollback()
        raise Blocked(policy.scope, until)


def count(key: bytes, policy: Policy, at: datetime) -> bool:
    """Count a try in the row that everybody who tries the same waits for; tell whether none is listened to after it."""
    insert = (sqlite if db.engine.dialect.name == "sqlite" else postgresql).insert
    new = insert(Throttle).values(key=key, scope=policy.scope, failures=0, locks=0, changed_at=at)
    # One statement makes the row or waits for it: between two, another request may take it away.
    mine = new.on_conflict_do_update(index_elements=["key"], set_={"scope": policy.scope})
    columns = (Throttle.failures, Throttle.locks, Throttle.blocked_until, Throttle.changed_at)
    known = State(*db.session.execute(mine.returning(*columns)).one())
    require_open(known.blocked_until, policy, at)
    state = counted(known, policy, at)
    values = {"failures": state.failures, "locks": state.locks, "blocked_until": state.blocked_until, "changed_at": at}
    changed = update(Throttle).where(Throttle.key == key).values(**values)
    db.session.execute(changed.execution_options(synchronize_session=False))
    return state.blocked_until is not None


def succeed(tried: Try) -> None:
    """Take a try back, and what was counted before it, as it was right; the caller commits."""
    db.session.execute(delete(Throttle).where(Throttle.key.in_(tried.keys)))


def unlock(*asked: tuple[Policy, tuple[str, ...]]) -> bool:
    """Forget what was counted under each policy, and tell whether there was anything; the caller commits."""
    keys = [key_of(policy, *words) for policy, words in asked]
    return bool(db.session.execute(delete(Throttle).where(Throttle.key.in_(keys)).returning(Throttle.key)).all())


def sweep(at: datetime) -> None:
    """Delete some of what is forgotten by now, and wait for nobody; the caller commits."""
    forgotten = at - max(policy.forgotten + policy.longest for policy in (ACCOUNT, PLACE, FACTOR))
    stale = select(Throttle.key).where(Throttle.changed_at < forgotten).limit(SWEPT_AT_ONCE)
    chosen = delete(Throttle).where(Throttle.key.in_(stale.with_for_update(skip_locked=True)))
    db.session.execute(chosen.execution_options(synchronize_session=False))
