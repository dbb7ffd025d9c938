"""The app's migrations, read without running them: what each says about compatibility, and which is the newest."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ADD_THE_LINE = (
    "add the line `compatible = True` when the release before this one still works on the changed schema, "
    "else `compatible = False`"
)
NAMES = frozenset({"revision", "down_revision", "branch_labels", "depends_on", "compatible"})


class MigrationsError(ValueError):
    """The migrations cannot be used; `problems` holds a line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Migration(NamedTuple):
    """A revision, those that it follows, and whether the release before it works on the changed schema."""

    revision: str
    follows: tuple[str, ...]
    compatible: bool


def read(folder: Path) -> Mapping[str, Migration]:
    """Return every migration in a folder such as `app/migrations`; raise MigrationsError naming all that is wrong."""
    found: dict[str, Migration] = {}
    places: dict[str, Path] = {}
    problems: list[str] = []
    for path in sorted((folder / "versions").glob("*.py")):
        try:
            migration = parse(path)
        except MigrationsError as error:
            problems += error.problems
            continue
        if migration.revision in found:
            other = places[migration.revision].name
            problems.append(f"{path}: has the revision {migration.revision!r} of {other}: give it one of its own")
        found[migration.revision], places[migration.revision] = migration, path
    if not problems:
        problems = [
            f"{places[migration.revision]}: follows {before!r}, which no file here has: correct its down_revision"
            for migration in found.values()
            for before in migration.follows
            if before not in found
        ]
    if problems:
        raise MigrationsError(problems)
    return found


def check(folder: Path) -> list[str]:
    """Return what is wrong with the migrations of a folder, a line each: file, line, and what to write there."""
    try:
        head(folder)
    except MigrationsError as error:
        return error.problems
    return []


def head(folder: Path) -> str | None:
    """Return the newest revision, None where there is no migration; raise MigrationsError when there are several."""
    found = read(folder)
    followed = {before for migration in found.values() for before in migration.follows}
    newest = sorted(found.keys() - followed)
    if len(newest) > 1:
        raise MigrationsError(
            [
                f"{folder}: {len(newest)} revisions are the newest ({', '.join(newest)}), wanted one: let one follow "
                "the other by its down_revision, or join them with `flask --app scaffold:create_app db merge heads`"
            ]
        )
    if found and not newest:
        raise MigrationsError([f"{folder}: every revision follows another one, wanted a first one: correct one"])
    return newest[0] if newest else None


def parse(path: Path) -> Migration:
    """Return what a migration's file says; raise MigrationsError where it does not say so in plain values."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError) as error:
        raise MigrationsError([f"{path}: cannot be read as Python: {error}"]) from None
    said: dict[str, tuple[object, int]] = {}
    last = 0
    for node in body:
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            continue
        for name in NAMES.intersection(names):
            said[name] = (literal(node.value), node.lineno)
            last = node.end_lineno or node.lineno
    revision, line = said.get("revision", (None, 1))
    if not isinstance(revision, str) or not revision:
        raise MigrationsError([f'{path}:{line}: says no revision, wanted a line such as revision = "0042"'])
    follows, line = said.get("down_revision", (None, 1))
    before = (follows,) if isinstance(follows, str) else () if follows is None else follows
    if not isinstance(before, tuple | list) or not all(isinstance(one, str) for one in before):
        raise MigrationsError([f"{path}:{line}: down_revision: wanted a revision, a tuple of them, or None"])
    if "compatible" not in said:
        raise MigrationsError([f"{path}:{last + 1}: does not say whether it is compatible: {ADD_THE_LINE}"])
    compatible, line = said["compatible"]
    if not isinstance(compatible, bool):
        raise MigrationsError([f"{path}:{line}: compatible: wanted True or False, written out: {ADD_THE_LINE}"])
    return Migration(revision, tuple(before), compatible)


def literal(node: ast.expr | None) -> object:
    """Return a plain value that is written out, and the node itself where there is something else."""
    if node is None:
        return node
    try:
        return ast.literal_eval(node)
    except ValueError:
        return node
