"""The state file: what the service does now, for people and programs to read; the journal is what it goes by."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backup import durable, line

SCHEMA = 1


class State:
    """Writes the state file whole each time it changes, and touches it while it does not."""

    def __init__(self, path: Path) -> None:
        """Take where it is."""
        self.path = path
        self.last = b""

    def write(self, status: str, fields: Mapping[str, Any]) -> None:
        """Write what is so; a disk that takes it no more is told of and changes nothing."""
        document = {"schema": SCHEMA, "status": status, "pid": os.getpid(), **fields}
        content = json.dumps(document, sort_keys=True, indent=1, default=str).encode() + b"\n"
        try:
            if content == self.last:
                os.utime(self.path)
                return
            durable.write(self.path, content)
            self.last = content
        except OSError as error:
            line.say("warning", f"{self.path}: cannot be written: {error.strerror}. Give it room, or mend its disk")


def read(path: Path) -> tuple[dict[str, Any], float]:
    """Return what the state file says, and how old it is; nothing where there is none or it is being mended."""
    try:
        age = time.time() - path.stat().st_mtime
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}, 0.0
    return (found, age) if isinstance(found, dict) else ({}, age)
