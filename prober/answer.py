"""An answer as it came, and what of a long one is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT = 65536


@dataclass
class Answer:
    """Status, headers in small letters, the first part of the body, and length and hash of all of it."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    kept: bytes = b""
    length: int = 0
    hashing: Any = field(default_factory=hashlib.sha256)

    def add(self, data: bytes) -> None:
        """Take the next part of the body."""
        self.length += len(data)
        self.hashing.update(data)
        if len(self.kept) < KEPT:
            self.kept += data[: KEPT - len(self.kept)]

    @property
    def sha256(self) -> str:
        """The hash of the whole body, in hexadecimal digits."""
        return str(self.hashing.hexdigest())

    @property
    def text(self) -> str:
        """The kept part of the body as text."""
        return self.kept.decode(errors="replace")

    @property
    def document(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one when it is none."""
        if not self.headers.get("content-type", "").startswith("application/json"):
            return {}
        try:
            found = json.loads(self.kept)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}
