"""What is told of the database's archive, on which going back to a moment stands, and what has been told of it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from backup.notice import Event

# A server that is started anew, or a disk that is slow for a moment, is nobody's alarm.
GRACE_SECONDS = 300.0
AGAIN_SECONDS = 86_400.0
# The others with the next look: telling one may take a minute where nobody answers.
MOST_AT_ONCE = 3
MOST_WORDS = 300
UNKNOWN = "unknown"
SEGMENT = re.compile(r"[0-9A-F]{24}")


class Gap(NamedTuple):
    """Segments that are missing, by the names of the first and the last one."""

    first: str
    last: str


class Seen(NamedTuple):
    """How the archive is: what is wrong, nothing where it works; and its gaps, None where nobody knows them."""

    trouble: str
    gaps: tuple[Gap, ...] | None


@dataclass(frozen=True)
class Memory:
    """Since when it is in trouble, when that was told, since when it is better, and the gaps that were told.

    Times are seconds since the epoch, 0 where there is none.
    """

    since: float = 0.0
    told: float = 0.0
    better: float = 0.0
    gaps: tuple[Gap, ...] = ()


def read(text: str) -> Seen:
    """Return what the database says; whatever else it may be counts as unknown."""
    if text == UNKNOWN:
        return Seen("nothing has been noted of it for five minutes", None)
    try:
        document = json.loads(text)
        gaps = document["gaps"]
        return Seen(str(document["trouble"])[:MOST_WORDS], None if gaps is None else gaps_in(gaps))
    except (ValueError, KeyError, TypeError):
        return Seen("what the database says of it cannot be read", None)


def gaps_in(found: Any) -> tuple[Gap, ...]:
    """Return gaps from a list of pairs; raise ValueError or TypeError for anything else."""
    gaps = tuple(Gap(first, last) for first, last in found)
    if not all(SEGMENT.fullmatch(name) for gap in gaps for name in gap):
        raise ValueError
    return gaps


def decide(before: Memory, seen: Seen, now: float) -> tuple[Memory, list[Event]]:
    """Return what is to be told, and what is to be remembered once it has been."""
    chosen, gaps = missing(before, seen)
    events = [Event("archive-gap", gap._asdict()) for gap in chosen]
    # A moment that is yet to come tells of a clock that was wrong.
    since, told, better = (min(each, now) for each in (before.since, before.told, before.better))
    if seen.trouble:
        since, better = since or now, 0.0
        if now - since >= GRACE_SECONDS and (not told or now - told >= AGAIN_SECONDS):
            events.append(Event("archive-failing", {"error": seen.trouble, "since": shown(since)}))
            told = now
    elif told:
        better = better or now
        if now - better >= GRACE_SECONDS:
            events.append(Event("archive-recovered", {"since": shown(better), "failed_since": shown(since)}))
            since = told = better = 0.0
    else:
        since = 0.0
    return Memory(since, told, better, gaps), events


def missing(before: Memory, seen: Seen) -> tuple[tuple[Gap, ...], tuple[Gap, ...]]:
    """Return the gaps that are told now, and those that have been told then; one that is no more is forgotten."""
    if seen.gaps is None:
        return (), before.gaps
    chosen = tuple(gap for gap in seen.gaps if gap not in before.gaps)[:MOST_AT_ONCE]
    return chosen, tuple(gap for gap in seen.gaps if gap in before.gaps or gap in chosen)


def untold(after: Memory, before: Memory, event: Event) -> Memory:
    """Return what is to be remembered where nobody took an event, so that it is told again."""
    if event.name == "archive-gap":
        return replace(after, gaps=tuple(gap for gap in after.gaps if gap._asdict() != event.fields))
    return replace(after, since=before.since, told=before.told, better=before.better)


def shown(moment: float) -> str:
    """Return a moment as it is told."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def render(memory: Memory) -> str:
    """Return the memory as a file has it."""
    return json.dumps(asdict(memory), sort_keys=True) + "\n"


def remembered(text: str) -> Memory:
    """Return the memory from its file; raise ValueError or TypeError where it is none."""
    document = json.loads(text)
    if not isinstance(document, dict):
        raise TypeError
    times = {name: float(document.get(name, 0.0)) for name in ("since", "told", "better")}
    return Memory(**times, gaps=gaps_in(document.get("gaps", ())))
