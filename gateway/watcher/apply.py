"""`apply DIRECTORY`: give the running gateway its page and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from watcher import asking, environment, files, journal
from watcher.asking import JobError
from watcher.layout import Layout


def run(variables: Mapping[str, str], layout: Layout, directory: Path) -> int:
    """Apply the two files; return the exit status."""
    try:
        timeout = environment.seconds(variables, "CONTROL_TIMEOUT", 30)
        given = {name: read(directory / name) for name in (files.PAGE, files.SETTINGS)}
        asking.await_control(layout, timeout)
        answer = asking.ask(layout, "PUT", "/files", given)
    except (JobError, environment.VariableError) as error:
        journal.error("the files were not applied", problem=str(error))
        return 1
    journal.info("the files are applied", files=answer["digest"])
    return 0


def read(path: Path) -> str:
    """Return a file's text; raise JobError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f"cannot read {path}: {error}") from error
