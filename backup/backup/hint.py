"""The next command, in the words of whoever reads of it."""

from __future__ import annotations

import os


def command(*words: str) -> str:
    """Return how somebody gives a command: as here, or with LOG_FORMAT=text by the verbs of the stack's Makefile."""
    if os.environ.get("LOG_FORMAT") != "text":
        return " ".join(("python -m backup", *words))
    if words == ("run",):
        return "make backup"
    if words == ("list",):
        return "make backups"
    return f"make backups ARGS='{' '.join(words)}'"
