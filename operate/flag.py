"""What a maintenance on purpose is, and what is ordered of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Flag:
    """One maintenance, as the gateway's watcher takes it; nothing in it opens the site."""

    id: str
    since: int
    message: str
    expected: int
    expected_words: str
    allow: tuple[str, ...]
    bypass_digest: str
    bypass_until: int

    def document(self) -> dict[str, Any]:
        """Return the flag as it is told."""
        return asdict(self) | {"allow": list(self.allow)}


@dataclass(frozen=True)
class Order:
    """What was asked for: to look, to end a maintenance, or to begin the one of a flag."""

    look: bool = False
    flag: Flag | None = None


def flag_from(document: Mapping[str, Any]) -> Flag:
    """Return the flag that a gateway or a cluster tells of; raise KeyError or TypeError for what is none."""
    return Flag(**{**{name: document[name] for name in Flag.__dataclass_fields__}, "allow": tuple(document["allow"])})
