"""What the coordinator asks of the loader, and the answer, as files in a job's folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backup import durable
from restore.refusal import RefusalError

JOB = re.compile(r"[a-z0-9]{12,64}")
REQUEST, ANSWER, PROGRESS, FILE = "request.json", "answer.json", "progress.json", "file"
VERBS = ("validate", "load", "inspect", "cancel")
KINDS = ("sql", "sql.gz", "dump", "dump.gz")
MOST_BYTES = 1 << 20
SECONDS = 6 * 3600
UNPACKED_BYTES = 1 << 40


@dataclass(frozen=True)
class Request:
    """One request; a later one has a higher number, and takes the place of the one before."""

    seq: int
    verb: str
    kind: str = "sql"
    database: str = ""
    most_bytes: int = UNPACKED_BYTES
    seconds: float = SECONDS
    smoke: tuple[str, ...] = ()


def read(folder: Path) -> Request | None:
    """Return what is asked in a job's folder, None where nothing is; raise ValueError for what is no request."""
    document = load(folder / REQUEST)
    if document is None:
        return None
    seq, verb, kind = document.get("seq"), document.get("verb"), document.get("kind", "sql")
    database, smoke = document.get("database", ""), document.get("smoke") or []
    most, seconds = document.get("max_bytes", UNPACKED_BYTES), document.get("deadline_seconds", SECONDS)
    if type(seq) is not int or verb not in VERBS or kind not in KINDS:
        raise ValueError(f"got seq {seq!r}, verb {verb!r}, kind {kind!r}, wanted a number, one of {VERBS} and {KINDS}")
    if type(most) is not int or not isinstance(seconds, int | float) or most < 1 or seconds <= 0:
        raise ValueError(f"got max_bytes {most!r} and deadline_seconds {seconds!r}, wanted numbers above 0")
    if not isinstance(database, str) or any(character in database for character in "\0\r\n"):
        raise ValueError(f"got database {database!r}, wanted a name")
    if verb in ("load", "inspect") and not database:
        raise ValueError(f"got no database, wanted the one to {verb}")
    texts = (smoke,) if isinstance(smoke, str) else smoke
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("got smoke that is no list of statements")
    return Request(seq, verb, kind, database, most, float(seconds), tuple(texts))


def load(path: Path) -> dict[str, Any] | None:
    """Return a small file's JSON object, None where there is no such file; raise ValueError for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{path.name}: cannot be opened: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"{path.name}: has more than {MOST_BYTES} bytes")
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError(f"{path.name}: got {type(document).__name__}, wanted an object")  # noqa: TRY004 - as the others
    return document


def answered(folder: Path) -> int | None:
    """Return the number of the last request that was answered."""
    try:
        seq = (load(folder / ANSWER) or {}).get("seq")
    except ValueError:
        return None
    return seq if isinstance(seq, int) else None


def answer(folder: Path, seq: int, facts: Mapping[str, object]) -> None:
    """Answer that all went well; raise RefusalError when there is more to tell than fits."""
    text = encoded({"seq": seq, "ok": True, "reason": "", "hint": "", "transient": False, **facts})
    if len(text) > MOST_BYTES:
        raise RefusalError(
            f"what is to be told of it has {len(text)} bytes, and {MOST_BYTES} fit",
            "Restore it by hand: it has more tables than this can tell of",
        )
    durable.write(folder / ANSWER, text)


def refuse(folder: Path, seq: int, error: RefusalError) -> None:
    """Answer that it did not go well."""
    told = {"seq": seq, "ok": False, "reason": error.reason[:4000], "hint": error.hint[:2000]}
    durable.write(folder / ANSWER, encoded({**told, "transient": error.transient}))


def progress(folder: Path, seq: int, phase: str, done: int, of: int, table: str) -> None:
    """Tell how far it is."""
    told = {"seq": seq, "phase": phase, "bytes": done, "of": of, "table": table[:200]}
    durable.write(folder / PROGRESS, encoded(told))


def encoded(document: Mapping[str, object]) -> bytes:
    """Return a document as JSON in ASCII."""
    return json.dumps(document, separators=(",", ":")).encode("ascii")
