"""How the coordinator asks the loader: by files in the job's folder of the spool, and without believing it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from backup import durable
from restore import foreign
from restore.error import TransientError

REQUEST, ANSWER, PROGRESS, FILE = "request.json", "answer.json", "progress.json", "file"
MOST_BYTES = 1 << 20
WORDS = 2000
POLL_SECONDS = 0.02
LOOK_SECONDS = 0.5
# What an answer may take beyond the time that the loader was given.
SPARE_SECONDS = 60.0
SHARED = 0o2770

Tick = Callable[[Mapping[str, object]], None]


class Answer(NamedTuple):
    """What the loader said: facts for receipts, never for a decision that harms."""

    ok: bool
    reason: str
    hint: str
    transient: bool
    facts: dict[str, Any]

    @property
    def words(self) -> str:
        """Why it did not succeed, and what to do."""
        return f"{self.reason or 'the loader gave no reason'}. {self.hint}".rstrip(". ") if not self.ok else ""


def begin(spool: Path, job: str) -> Path:
    """Make a job's folder, which is nobody else's until `share`."""
    folder = spool / job
    if folder.is_symlink() or folder.exists():
        durable.remove(folder)
    folder.mkdir(mode=0o700)
    return folder


def share(folder: Path) -> None:
    """Let the loader in."""
    folder.chmod(SHARED)


def put(folder: Path, name: str, content: bytes) -> None:
    """Write a file into a shared folder: whatever else has its name there is not followed and not written to."""
    new = folder / f".{name}.coordinator"
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    durable.rename(new, folder / name)


def get(folder: Path, name: str) -> dict[str, Any] | None:
    """Return what a file of the loader's holds; None for none, or for anything but a small JSON object."""
    content = foreign.read(folder / name, MOST_BYTES)
    try:
        found = json.loads(content) if content is not None else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def ask(folder: Path, verb: str, fields: Mapping[str, object], seconds: float, wait: float, tick: Tick) -> Answer:
    """Ask the loader for something and return its answer; raise TransientError when none comes.

    `wait` is how long it may take to begin, `seconds` how long it may work.
    """
    number = next_number(folder)
    put(folder, REQUEST, json.dumps({"seq": number, "verb": verb, "deadline_seconds": int(seconds), **fields}).encode())
    began = time.monotonic()
    looked, seen = began, False
    while True:
        answer = get(folder, ANSWER)
        if answer is not None and answer.get("seq") == number:
            return read(answer)
        now = time.monotonic()
        if now - looked >= LOOK_SECONDS:
            looked = now
            progress = get(folder, PROGRESS) or {}
            seen = seen or progress.get("seq") == number
            tick(told(progress) if progress.get("seq") == number else {})
        if now - began > (seconds + SPARE_SECONDS if seen else wait):
            cancel(folder)
            raise TransientError(
                f"the loader {'was not done' if seen else 'did not begin'} within {now - began:.0f} s. Look whether it "
                f"runs, and at its log"
            )
        time.sleep(POLL_SECONDS)


def next_number(folder: Path) -> int:
    """Return the number of the next request."""
    former = (get(folder, REQUEST) or {}).get("seq")
    return former + 1 if isinstance(former, int) and 0 < former < 1 << 40 else 1


def cancel(folder: Path) -> None:
    """Have the loader give up what it does for the job."""
    with contextlib.suppress(OSError):
        put(folder, REQUEST, json.dumps({"seq": next_number(folder), "verb": "cancel"}).encode())


def read(answer: Mapping[str, Any]) -> Answer:
    """Return an answer with every part of the kind that it should be."""
    named = ("seq", "ok", "reason", "hint", "transient")
    return Answer(
        ok=answer.get("ok") is True,
        reason=text(answer.get("reason")),
        hint=text(answer.get("hint")),
        transient=answer.get("transient") is True,
        facts={str(key)[:64]: value for key, value in answer.items() if key not in named},
    )


def told(progress: Mapping[str, Any]) -> dict[str, object]:
    """Return what a loader's progress says, cut to what is shown."""
    found: dict[str, object] = {}
    for key in ("phase", "table"):
        if isinstance(progress.get(key), str):
            found[key] = text(progress[key])[:200]
    for key in ("bytes", "of"):
        if isinstance(progress.get(key), int | float):
            found[key] = progress[key]
    return found


def text(value: object) -> str:
    """Return a loader's words in one line, without what no terminal should be sent."""
    line = " ".join(str(value or "").split())
    return "".join(character for character in line if character.isprintable())[:WORDS]


def number(facts: Mapping[str, Any], name: str) -> int:
    """Return a fact that is a count; 0 for anything else."""
    value = facts.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else 0


def names(facts: Mapping[str, Any], name: str, key: str = "name") -> list[str]:
    """Return a fact that is a list of names, or of objects with one."""
    value = facts.get(name)
    items = value if isinstance(value, list) else []
    found = [item.get(key) if isinstance(item, dict) else item for item in items[:10_000]]
    return [item for item in found if isinstance(item, str) and len(item) < 256]
