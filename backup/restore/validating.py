"""`validate`: reads a file to its end and tells what it is; nothing is run, and no server is asked."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

from backup import durable, program, writeback
from backup.tools import Tools
from restore import dump, inlet
from restore.inlet import Inlet
from restore.lexer import CUT
from restore.refusal import RefusalError
from restore.request import FILE, Request
from restore.script import About, Script
from restore.stage import Stage

UNPACKED = "unpacked.dump"
TOLD = 2000


def validate(folder: Path, asked: Request, tools: Tools) -> dict[str, object]:
    """Return what a file holds; raise RefusalError for one that is damaged, cut short, or no dump as it should be."""
    path = folder / FILE
    head = inlet.checked(path, asked.kind)
    stage = Stage(folder, asked.seq, "validate", path.stat().st_size)
    archive = ""
    if asked.kind.startswith("dump"):
        found = dump.version(head)
        dump.check(found, tools)
        archive = str(found)
        about, size = of_dump(tools, unpacked(folder, asked, stage), asked, stage)
    else:
        about, size = of_text(path, asked, stage)
    stage.done(statements=about.statements, tables=about.tables, rows=about.rows)
    return {**facts(about), "format": asked.kind, "archive_version": archive, "bytes": size}


def facts(about: About) -> dict[str, object]:
    """Return what is told of a dump."""
    return {
        "server_version": about.server_version,
        "dump_version": about.dump_version,
        "extensions": [{"name": name, "schema": where} for name, where in list(about.extensions.items())[:TOLD]],
        "owners": sorted(about.owners)[:TOLD],
        "statements": about.statements,
        "tables": about.tables,
        "rows": about.rows,
        "head": ",".join(sorted(about.heads)),
        "left_out": dict(sorted(about.left_out.items())),
    }


def read(take: Callable[[], bytes]) -> About:
    """Read a plain dump to its end."""
    script = Script(take)
    for step in script.steps():
        for _ in step.data:
            pass
    return script.about


def of_text(path: Path, asked: Request, stage: Stage) -> tuple[About, int]:
    """Read a plain dump; return what it tells, and how many bytes it comes to."""
    with inlet.opened(path) as file:
        taking = inlet_of(file, asked, stage)
        return read(taking.read), taking.given


def inlet_of(file: IO[bytes], asked: Request, stage: Stage) -> Inlet:
    """Return what reads a file, telling how far it is."""
    taking: Inlet = Inlet(
        file, packed=asked.kind.endswith(".gz"), most=asked.most_bytes, tick=lambda: stage.tick(taking.taken)
    )
    return taking


def of_dump(tools: Tools, path: Path, asked: Request, stage: Stage) -> tuple[About, int]:
    """Have a dump written as a plain one and read that; return what it tells, and how many bytes it comes to."""
    with program.started(dump.text(tools, path), stdout=subprocess.PIPE) as restoring:
        output = restoring.process.stdout
        if output is None:
            raise RefusalError("pg_restore gives no output", dump.AGAIN, transient=True)
        # How far it is cannot be told: what it writes is larger than what it reads, by nobody knows how much.
        with output:
            taking = Inlet(output, packed=False, most=asked.most_bytes, tick=stage.tick)
            try:
                about = read(taking.read)
            except RefusalError as error:
                if error.hint == CUT:
                    # What was cut short is its output, and why, it knows better.
                    dump.finish(restoring)
                raise
        dump.finish(restoring)
    return about, taking.given


def unpacked(folder: Path, asked: Request, stage: Stage) -> Path:
    """Return where pg_restore can jump about in a dump: one packed by gzip is unpacked into the job's folder."""
    path = folder / FILE
    if not asked.kind.endswith(".gz"):
        return path
    clear = folder / UNPACKED
    if clear.exists():
        return clear
    new = folder / f".{UNPACKED}.new"
    try:
        with inlet.opened(path) as file, new.open("wb") as into, writeback.steady(folder):
            taking = inlet_of(file, asked, stage)
            while piece := taking.read():
                into.write(piece)
        durable.rename(new, clear)
    finally:
        # What came to too much takes no room from others.
        new.unlink(missing_ok=True)
    return clear
