"""A moment as a person types it: a date and a time of this machine's own zone, or with a zone after it."""

from __future__ import annotations

import datetime
import re
import zoneinfo

from setup.problem import Problem

WRITTEN = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(:\d\d)?\s*(\S+)?", re.ASCII)
OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
WANTED = (
    '{what}="2026-11-22 14:05" in this machine\'s own time (seconds may follow), or with a zone after it: UTC, '
    "Europe/Berlin or +01:00"
)


def read(what: str, given: str) -> datetime.datetime:
    """Return a moment in UTC; raise Problem, naming what was set, for what is none or not unmistakable."""
    found = WRITTEN.fullmatch(given.strip())
    wanted = WANTED.format(what=what)
    naive = naive_of(f"{found[1]} {found[2]}{found[3] or ':00'}") if found else None
    if found is None or naive is None:
        raise Problem(f"{what}: got {given!r}, which is no date and time.", wanted)
    zone, _ = zone_of(found[4] or "", what, given, wanted)
    moments = placed(naive, zone)
    if len(moments) != 1:
        how = "comes twice" if moments else "never comes"
        raise Problem(
            f"{what}: got {given!r}, which {how}: the clocks change that night.",
            f'say it as an offset from UTC: {what}="{found[1]} {found[2]} +01:00", or another one',
        )
    return moments[0].astimezone(datetime.UTC)


def naive_of(text: str) -> datetime.datetime | None:
    """Return a date and time without its zone; None where there is no such day or hour."""
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - its zone is looked at next
    except ValueError:
        return None


def zone_of(word: str, what: str, given: str, wanted: str) -> tuple[datetime.tzinfo | None, str]:
    """Return the zone that a word names, and its name where that says more than its offset; None is this machine's.

    Raise Problem, naming what was set, for one that nobody knows.
    """
    if not word:
        return None, ""
    if word in ("Z", "UTC"):
        return datetime.UTC, ""
    if found := OFFSET.fullmatch(word):
        offset = datetime.timedelta(hours=int(found[2]), minutes=int(found[3]))
        if offset <= datetime.timedelta(hours=14) and int(found[3]) < 60:
            return datetime.timezone(-offset if found[1] == "-" else offset), ""
    else:
        try:
            return zoneinfo.ZoneInfo(word), word
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise Problem(
        f"{what}: got {given!r}, whose time zone {word!r} is not known on this machine.",
        f"{wanted} (names need the package tzdata)",
    )


def placed(naive: datetime.datetime, zone: datetime.tzinfo | None) -> list[datetime.datetime]:
    """Return the moments at which clocks in a zone show a time: one, or none or two in a night when they change."""
    found: dict[float, datetime.datetime] = {}
    for fold in (0, 1):
        local = naive.replace(fold=fold, tzinfo=zone) if zone else naive.replace(fold=fold).astimezone()
        back = local.astimezone(datetime.UTC).astimezone(zone)
        if back.replace(tzinfo=None, fold=0) == naive:
            found[back.timestamp()] = back
    return [found[key] for key in sorted(found)]


def written(moment: datetime.datetime) -> str:
    """Return a moment as settings have it."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(text: str) -> str:
    """Return a moment, as settings have it, in this machine's own time."""
    local = datetime.datetime.fromisoformat(text).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S %z")
