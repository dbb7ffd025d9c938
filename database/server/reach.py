"""What can be reached: from which backup, along which timeline, until when; and where the archive has a gap.

A segment's time is when it was archived: everything in it was committed before. A backup is a way to moments after its
end, as far as every segment from its beginning on is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

SEGMENT_BYTES = 16 << 20


class Backup(NamedTuple):
    """A backup: its timeline, the first and last segment that it needs, and when it began and ended."""

    label: str
    kind: str
    timeline: int
    first: int
    last: int
    began: float
    ended: float
    size: int


class Archive(NamedTuple):
    """The archived segments with their times, by timeline; and where each timeline left which others."""

    segments: Mapping[int, Mapping[int, float]]
    ancestors: Mapping[int, Sequence[tuple[int, int]]]

    def timelines(self) -> list[int]:
        """Return the timelines, the newest first."""
        return sorted((timeline for timeline, found in self.segments.items() if found), reverse=True)

    def began(self, timeline: int) -> float:
        """Return when a timeline began, as far as the archive tells; the first one always was."""
        return min(self.segments[timeline].values()) if self.ancestors.get(timeline) else 0.0

    def ended(self, timeline: int) -> float:
        """Return when the last segment of a timeline was archived."""
        return max(self.segments[timeline].values())

    def holder(self, timeline: int, segment: int) -> int:
        """Return whose segment a recovery along a timeline reads: the timeline's own, or an ancestor's."""
        for ancestor, until in self.ancestors.get(timeline, ()):
            if segment < until:
                return ancestor
        return timeline

    def time_of(self, timeline: int, segment: int) -> float | None:
        """Return the time of the segment that a recovery along a timeline reads; None where it is not there."""
        return self.segments.get(self.holder(timeline, segment), {}).get(segment)


class Stretch(NamedTuple):
    """How far a recovery comes: to which segment, and until when."""

    last: int
    until: float


class Window(NamedTuple):
    """A span of time that can be reached, and the timeline that lived then."""

    timeline: int
    start: float
    end: float


class Way(NamedTuple):
    """How to get to a moment: from a backup, along a timeline, on which the segments are there up to one."""

    backup: Backup
    timeline: int
    last: int


def ancestors_in(history: str) -> list[tuple[int, int]]:
    """Return the timelines that a history file names, each with the first segment that is another's."""
    found = []
    for text in history.splitlines():
        words = text.split()
        if len(words) >= 2 and words[0].isdigit():
            high, _, low = words[1].partition("/")
            found.append((int(words[0]), ((int(high, 16) << 32) + int(low, 16)) // SEGMENT_BYTES))
    return found


def stretch(archive: Archive, backup: Backup, timeline: int) -> Stretch | None:
    """Return how far a backup leads along a timeline; None where it does not even come to the backup's own end."""
    if backup.timeline != timeline:
        leaves = dict(archive.ancestors.get(timeline, ())).get(backup.timeline)
        if leaves is None or backup.last >= leaves:
            return None
    found, segment = None, backup.first
    while (at := archive.time_of(timeline, segment)) is not None:
        found = Stretch(segment, max(at, found.until if found else at))
        segment += 1
    return found if found and found.last >= backup.last else None


def windows(backups: Iterable[Backup], archive: Archive) -> list[Window]:
    """Return what can be reached, each timeline's spans from the first to the last, the newest timeline last."""
    known = sorted(backups, key=lambda backup: backup.ended)
    found: list[Window] = []
    for timeline in reversed(archive.timelines()):
        joined: list[Window] = []
        covered = -1
        for backup in known:
            reached = stretch(archive, backup, timeline)
            if reached is None or reached.until < archive.began(timeline):
                continue
            start = max(backup.ended, archive.began(timeline))
            end = max(start, reached.until)
            if joined and (start <= joined[-1].end or covered >= backup.last):
                joined[-1] = joined[-1]._replace(end=max(joined[-1].end, end))
            else:
                joined.append(Window(timeline, start, end))
            covered = max(covered, reached.last)
        found += joined
    return found


def way_to(moment: float, backups: Sequence[Backup], archive: Archive) -> Way | None:
    """Return how to get to a moment; None where it cannot be reached.

    Of several timelines that lived then it is the newest: what it did replaced what the others did.
    """
    for timeline in archive.timelines():
        if not archive.began(timeline) <= moment <= archive.ended(timeline):
            continue
        for backup in sorted(backups, key=lambda backup: backup.ended, reverse=True):
            if backup.ended <= moment and (reached := stretch(archive, backup, timeline)) and reached.until >= moment:
                return Way(backup, timeline, reached.last)
    return None


def way_to_latest(backups: Sequence[Backup], archive: Archive) -> Way | None:
    """Return how to get to the last that was archived; None where a gap lies before it."""
    timelines = archive.timelines()
    if not timelines:
        return None
    timeline = max(timelines, key=lambda each: (archive.ended(each), each))
    for backup in sorted(backups, key=lambda backup: backup.ended, reverse=True):
        reached = stretch(archive, backup, timeline)
        if reached and reached.last == max(archive.segments[timeline]):
            return Way(backup, timeline, reached.last)
    return None


def gaps(backups: Iterable[Backup], archive: Archive) -> Iterator[tuple[int, int, int]]:
    """Yield where segments are missing after the oldest backup of a timeline: timeline, the first and the last one."""
    known = list(backups)
    for timeline in reversed(archive.timelines()):
        there = archive.segments[timeline]
        firsts = [backup.first for backup in known if backup.timeline == timeline]
        begin = min(firsts) if firsts else min(there)
        before = begin - 1
        for segment in sorted(number for number in there if number >= begin):
            if segment > before + 1:
                yield timeline, before + 1, segment - 1
            before = segment
