"""`make pit`: shows to which moments the database can be taken back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from operate import moment, within
from operate.request import Request, prepared
from setup.problem import Problem

SERVICE = "database"
COMMAND = ("python3", "-m", "server", "window")
LATEST = "latest"


@dataclass(frozen=True)
class Window:
    """A span that can be reached, from and until which moment in UTC."""

    start: str
    end: str

    def holds(self, target: str) -> bool:
        """Return whether a moment, written alike, is in it."""
        return self.start <= target <= self.end

    def __str__(self) -> str:
        return f"{moment.shown(self.start)} to {moment.shown(self.end)}"


@dataclass(frozen=True)
class Reach:
    """What can be reached: the spans, the segments that are missing in between, and the backups."""

    windows: tuple[Window, ...]
    gaps: tuple[tuple[str, str], ...]
    backups: tuple[dict[str, Any], ...]
    trouble: str = ""


def run(request: Request) -> int:
    """Show it; the exit code is 1 where nothing can be reached, or something is missing."""
    refuse_without_archive(request)
    prepared(request)
    found = ask(request)
    for line in told(found, request.stack):
        request.terminal.say(line)
    return 0 if found.windows and not found.gaps else 1


def refuse_without_archive(request: Request) -> None:
    """Raise Problem for a stack that archives nothing."""
    if request.setting("pitr") != "true":
        raise Problem(
            f"The stack {request.stack} archives nothing, so that it cannot be taken back to a moment.",
            f"make config STACK={request.stack} ARGS='set pitr true', then make up STACK={request.stack}; "
            "a backup can be restored meanwhile: make backups",
        )


def ask(request: Request, *words: str) -> Reach:
    """Return what the database's container says; raise Problem where it does not run, or cannot tell."""
    code, said = within.answer(request, SERVICE, [*COMMAND, *words])
    return reach_in(code, said, request.stack)


def reach_in(code: int, said: str, stack: str) -> Reach:
    """Return what was said; raise Problem with the reason where it was no answer."""
    lines = [line for line in said.splitlines() if line.strip()] or ["it said nothing"]
    try:
        document = json.loads(lines[-1])
        reason = str(document.get("event") or lines[-1])
        if code == 0:
            return Reach(
                windows=tuple(Window(each["from"], each["until"]) for each in document["windows"]),
                gaps=tuple((each["from"], each["until"]) for each in document["gaps"]),
                backups=tuple(document["backups"]),
                trouble=str(document.get("why") or ""),
            )
    except (ValueError, KeyError, TypeError, AttributeError):
        reason = lines[-1].strip()
    raise Problem(
        f"The database of the stack {stack} does not tell what can be reached: {reason}",
        f"make logs SERVICE={SERVICE} STACK={stack} tells more",
    )


def told(found: Reach, stack: str) -> list[str]:
    """Return what can be reached, in lines for a person."""
    if not found.windows:
        return [
            f"Nothing can be reached yet: the first base backup of the stack {stack} is not made.",
            f"make logs SERVICE={SERVICE} STACK={stack} shows why, if it does not come.",
        ]
    lines = ["Every moment can be reached of", *(f"  {window}" for window in found.windows)]
    for first, last in found.gaps:
        lines.append(f"The log is missing from {first} to {last}: nothing in there can be reached.")
    kinds = {kind: [each for each in found.backups if each["kind"] == kind] for kind in ("full", "diff")}
    for kind, backups in kinds.items():
        if backups:
            newest = max(backups, key=lambda backup: str(backup["ended"]))
            lines.append(f"{len(backups)} {kind} base backups, the last one of {moment.shown(newest['ended'])}")
    return [*lines, f'make restore-pit TO="{found.windows[-1].end[:16].replace("T", " ")} UTC" STACK={stack}']
