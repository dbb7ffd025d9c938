"""Cron expressions: five fields in a time zone; each wall-clock time happens once a day, also when clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
EXAMPLE = "'30 3 * * *' (minute, hour, day of month, month, day of week)"
# From one 29 February to the next there can be eight years.
HORIZON_DAYS = 366 * 9
# No change of clocks is larger.
SHIFT = timedelta(hours=3)


class Cron(NamedTuple):
    """The times that an expression stands for."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def on(self, day: date) -> bool:
        """Tell whether there are times on this day."""
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        # As cron has it: where both are restricted, one of them is enough.
        return (of_month or of_week) if self.either else (of_month and of_week)


def parse(text: str) -> Cron:
    """Return what an expression stands for; raise ValueError that names the field when it stands for nothing."""
    fields = ALIASES.get(text.strip().lower(), text).split()
    if len(fields) != 5:
        raise ValueError(f"got {text!r}, wanted five fields such as {EXAMPLE}")
    minute, hour, day, month, weekday = fields
    cron = Cron(
        minutes=field("minute", minute, 0, 59),
        hours=field("hour", hour, 0, 23),
        days=field("day of month", day, 1, 31),
        months=field("month", month, 1, 12, MONTHS, 1),
        weekdays=frozenset(number % 7 for number in field("day of week", weekday, 0, 7, DAYS)),
        either=not day.startswith("*") and not weekday.startswith("*"),
    )
    if not any(cron.on(date(2024, 1, 1) + timedelta(days=number)) for number in range(HORIZON_DAYS)):
        raise ValueError(f"got {text!r}, which is on no day of any year")
    return cron


def field(
    what: str, text: str, lowest: int, highest: int, names: tuple[str, ...] = (), first: int = 0
) -> frozenset[int]:
    """Return the numbers of one field: lists, ranges, steps and names."""
    found: set[int] = set()
    for item in text.lower().split(","):
        span, slash, step = item.partition("/")
        low, dash, high = span.partition("-")
        try:
            width = int(step) if slash else 1
            begin = lowest if span == "*" else number(low, names, first)
            end = highest if span == "*" or (slash and not dash) else number(high, names, first) if dash else begin
        except ValueError:
            raise ValueError(f"{what}: got {item!r}, wanted such as {lowest}, *, */5, 1-5 or 1,2") from None
        if width < 1 or not lowest <= begin <= end <= highest:
            raise ValueError(f"{what}: got {item!r}, wanted from {lowest} to {highest}, the lower first")
        found |= set(range(begin, end + 1, width))
    return frozenset(found)


def number(text: str, names: tuple[str, ...], first: int) -> int:
    """Return a number or what a name stands for."""
    if text in names:
        return names.index(text) + first
    if not text.isascii() or not text.isdigit():
        raise ValueError(text)
    return int(text)


def after(cron: Cron, moment: datetime, zone: tzinfo) -> datetime:
    """Return the first time after a moment, in UTC."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    found: datetime | None = None
    for wall in walls(cron, (local - SHIFT).date(), 1):
        if found is not None and wall > found.astimezone(zone).replace(tzinfo=None) + SHIFT:
            break
        at = wall.replace(tzinfo=zone).astimezone(UTC)
        if at > moment and (found is None or at < found):
            found = at
    if found is None:
        raise ValueError("no time follows")
    return found


def latest(cron: Cron, moment: datetime, zone: tzinfo) -> datetime:
    """Return the last time that is not after a moment, in UTC."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    found: datetime | None = None
    for wall in walls(cron, (local + SHIFT).date(), -1):
        if found is not None and wall < found.astimezone(zone).replace(tzinfo=None) - SHIFT:
            break
        at = wall.replace(tzinfo=zone).astimezone(UTC)
        if at <= moment and (found is None or at > found):
            found = at
    if found is None:
        raise ValueError("no time precedes")
    return found


def walls(cron: Cron, day: date, step: int) -> Iterator[datetime]:
    """Yield wall-clock times from a day on, forwards or backwards."""
    times = sorted((time(hour, minute) for hour in cron.hours for minute in cron.minutes), reverse=step < 0)
    for count in range(HORIZON_DAYS):
        on = day + timedelta(days=count * step)
        if cron.on(on):
            yield from (datetime.combine(on, at) for at in times)
