"""Names one can say aloud: adverbs, an adjective, an animal."""

from __future__ import annotations

import functools
import random
from pathlib import Path

WORDS = Path(__file__).with_name("words.txt")


@functools.cache
def words() -> tuple[list[str], list[str], list[str]]:
    """Return the adverbs, adjectives and animals to choose from, a line of the file each."""
    adverbs, adjectives, animals = (line.split() for line in WORDS.read_text().splitlines())
    return adverbs, adjectives, animals


def name(length: int, separator: str, prefix: str | None) -> str:
    """Return a name of `length` words after an optional prefix. Not for secrets: the choice is not cryptographic."""
    adverbs, adjectives, animals = words()
    chosen = [random.choice(adverbs) for _ in range(length - 2)]  # noqa: S311
    chosen += [random.choice(adjectives)] if length > 1 else []  # noqa: S311
    chosen += [random.choice(animals)] if length > 0 else []  # noqa: S311
    return separator.join([prefix, *chosen] if prefix else chosen)
