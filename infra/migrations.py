"""The app's migrations as the program knows them: their order, and what each says of the release before it.

Read without running them: the app's packages are not the program's.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pulumi

WANTED = ("revision", "down_revision", "compatible")
LINE = "compatible = True"


@dataclass(frozen=True)
class Step:
    """A revision, and whether the release that does not know it can live with it."""

    revision: str
    compatible: bool


class MigrationsError(pulumi.RunError):
    """Migrations that cannot go out, each with its file and what to do; nothing has been changed."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(
            "the app's migrations cannot be used; nothing was changed:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
        )


def steps(folder: Path) -> tuple[Step, ...]:
    """Return the steps in a folder of migrations, oldest first; raise MigrationsError naming all that is wrong."""
    problems: list[str] = []
    found: dict[str, tuple[Step, str | None]] = {}
    for path in sorted(folder.glob("*.py")):
        try:
            values = assigned(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError) as error:
            problems.append(f"{path.name}: cannot be read: {error}")
            continue
        revision, follows, compatible = (values.get(name) for name in WANTED)
        if not isinstance(revision, str) or not (follows is None or isinstance(follows, str)):
            problems.append(f"{path.name}: wanted a plain text as revision and as down_revision (for a merge: rebase)")
        elif not isinstance(compatible, bool):
            problems.append(
                f"{path.name}: does not say whether the release before it can live with it. Add the line `{LINE}` "
                "where it only adds, or `compatible = False`"
            )
        elif revision in found:
            problems.append(f"{path.name}: revision {revision} is in another file too")
        else:
            found[revision] = (Step(revision, compatible), follows)
    if problems:
        raise MigrationsError(problems)
    return in_order(found)


def in_order(found: dict[str, tuple[Step, str | None]]) -> tuple[Step, ...]:
    """Return steps so that each follows the one that it names; raise MigrationsError where that is no single line."""
    following: dict[str | None, list[str]] = {}
    for revision, (_, follows) in found.items():
        following.setdefault(follows, []).append(revision)
    line: list[Step] = []
    at: str | None = None
    while at in following:
        (*others, at) = sorted(following.pop(at))
        if others:
            both = ", ".join([*others, at])
            raise MigrationsError([f"revisions {both} follow the same one; put one after the other (down_revision)"])
        line.append(found[at][0])
    lost = sorted(set(found) - {step.revision for step in line})
    if lost:
        raise MigrationsError([f"revision {each}: what it follows (down_revision) is in no file" for each in lost])
    return tuple(line)


def assigned(source: str) -> dict[str, object]:
    """Return the plain values that a migration assigns to the names that matter; raise SyntaxError, ValueError."""
    found: dict[str, object] = {}
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id in WANTED and value is not None:
            found[target.id] = ast.literal_eval(value)
    return found
