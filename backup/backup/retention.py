"""Which backups are kept, and why; those that are not good never take a good one's place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple


class Candidate(NamedTuple):
    """One backup as retention sees it."""

    id: str
    at: datetime
    good: bool
    pinned: bool = False


class Policy(NamedTuple):
    """How many to keep: of all, and of the newest in each of so many days, weeks, months and years."""

    last: int = 3
    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    yearly: int = 0
    minimum: int = 3


class Plan(NamedTuple):
    """What is kept, each with its reasons, and what is removed, oldest first."""

    keep: dict[str, tuple[str, ...]]
    remove: tuple[str, ...]


Period = Callable[[datetime], tuple[int, ...]]
PERIODS: dict[str, Period] = {
    "daily": lambda at: (at.year, at.month, at.day),
    "weekly": lambda at: tuple(at.isocalendar()[:2]),
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: (at.year,),
}


def plan(candidates: Sequence[Candidate], policy: Policy, zone: tzinfo) -> Plan:
    """Return what is kept and what goes.

    A rule counts periods that have a good backup, not periods of the calendar: a week in which every run failed
    removes nothing. One that is not good goes only when `minimum` good ones are newer, as nobody will want it then.
    """
    ordered = sorted(candidates, key=lambda item: (item.at, item.id), reverse=True)
    good = [item for item in ordered if item.good]
    reasons: dict[str, list[str]] = {item.id: [] for item in ordered}
    for item in good[: max(policy.last, 1)]:
        reasons[item.id].append("last")
    for name, period in PERIODS.items():
        for item in newest_of_each(good, period, getattr(policy, name), zone):
            reasons[item.id].append(name)
    for item in good[: policy.minimum]:
        reasons[item.id].append("minimum")
    for item in ordered:
        if item.pinned:
            reasons[item.id].append("pinned")
        if not item.good and sum(other.at > item.at for other in good) < max(policy.minimum, 1):
            reasons[item.id].append("not good, and few good ones are newer")
    keep = {identifier: tuple(why) for identifier, why in reasons.items() if why}
    return Plan(keep, tuple(item.id for item in reversed(ordered) if item.id not in keep))


def newest_of_each(good: Sequence[Candidate], period: Period, count: int, zone: tzinfo) -> list[Candidate]:
    """Return the newest of each of the latest periods that have one, of candidates that come newest first."""
    chosen: dict[tuple[int, ...], Candidate] = {}
    for item in good:
        key = period(item.at.astimezone(zone))
        if key not in chosen and len(chosen) < count:
            chosen[key] = item
    return list(chosen.values())


class Size(NamedTuple):
    """How large a good backup is, and whether somebody has said that a small one is right."""

    bytes: int
    rows: int
    accepted: bool = False


MEDIAN_OF = 5
LEAST = 3


def suspicion(before: Sequence[Size], now: Size) -> str:
    """Return why a backup looks too small to be true beside the good ones before it, oldest first; else nothing.

    One that was accepted begins a new series: what it is measured by is not what it was accepted against.
    """
    first = max((index for index, size in enumerate(before) if size.accepted), default=0)
    last = list(before[first:])[-MEDIAN_OF:]
    if len(last) < LEAST:
        return ""
    for what, values, value in (
        ("bytes", [size.bytes for size in last], now.bytes),
        ("rows", [size.rows for size in last], now.rows),
    ):
        median = sorted(values)[len(values) // 2]
        if value * 2 < median:
            return f"{value} {what}, less than half of the {median} that the last {len(last)} had in the middle"
    return ""
