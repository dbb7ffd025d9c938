"""What the steps for one kind of database make."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from backup.contents import Contents


class Piece(NamedTuple):
    """A file of a backup, not yet encrypted."""

    path: Path
    role: str
    format: str
    compression: str = ""


class Made(NamedTuple):
    """Files with their roles, and what the manifest tells of them."""

    pieces: tuple[Piece, ...]
    server: dict[str, Any]
    snapshot: dict[str, str]
    contents: Contents
    verify: dict[str, Any]
