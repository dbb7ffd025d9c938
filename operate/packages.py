"""Debian's packages in images: what is installed, what is newer, and the record that asks for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

INSTALLED = ("dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package} ${Version}\n")
NEWER = "newer"
# An index that cannot be fetched is a failure: apt alone would go on with what it has, which is nothing.
QUESTION = f"""set -eu
export LC_ALL=C
apt-get update -q -o APT::Update::Error-Mode=any -o Acquire::Languages=none \\
    -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30
printf '%s\\n' "$1" | sort -u > /tmp/installed
cut -d ' ' -f 1 /tmp/installed | sort -u | xargs apt-cache policy \\
    | awk '/^[^ ].*:$/ {{ sub(":$", "", $1); name = $1 }} $1 == "Candidate:" {{ print name, $2 }}' \\
    | sort -u > /tmp/candidates
join /tmp/installed /tmp/candidates | while read -r name installed candidate; do
    if test "$candidate" != "(none)" && dpkg --compare-versions "$candidate" gt "$installed"; then
        echo "{NEWER} $name $installed $candidate"
    fi
done
"""
"""What is asked in a container of the base image, with lines of name and version: which of them have a newer one."""


@dataclass(frozen=True)
class Newer:
    """A package that the distribution has a newer version of."""

    name: str
    installed: str
    candidate: str


def installed_from(lines: Iterable[str]) -> set[tuple[str, str]]:
    """Return the names and versions of what dpkg calls installed."""
    rows = (line.split() for line in lines)
    return {(row[1], row[2]) for row in rows if len(row) == 3 and row[0] == "installed"}


def newer_from(lines: Iterable[str]) -> list[Newer]:
    """Return what the question was answered with, among apt's own lines."""
    rows = (line.split() for line in lines)
    return sorted(
        (Newer(*row[1:]) for row in rows if len(row) == 4 and row[0] == NEWER),
        key=lambda each: (each.name, each.installed),
    )


def record(installed: Iterable[tuple[str, str]], newer: Sequence[Newer], today: str, former: str) -> str:
    """Return what the images' tags hold: the day, and a hash of every package with the version that it will have.

    Asked for a second time, the same versions are the same record: what was begun goes on.
    """
    after: Mapping[tuple[str, str], str] = {(each.name, each.installed): each.candidate for each in newer}
    wanted = sorted({f"{name}={after.get((name, version), version)}" for name, version in installed})
    digest = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:8]
    return former if former.endswith(f"-{digest}") else f"{today}-{digest}"


def table(newer: Sequence[Newer]) -> list[str]:
    """Return the packages as lines for a person: name, from, to."""
    widths = [max((len(cell) for cell in column), default=0) for column in zip(*map(cells, newer), strict=True)]
    return [f"{each.name:<{widths[0]}}  {each.installed:<{widths[1]}}  {each.candidate}" for each in newer]


def cells(each: Newer) -> tuple[str, str]:
    """Return what has to be aligned."""
    return each.name, each.installed
