"""Random text from classes of characters, as RandomPassword and RandomString promise it."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass

SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
BCRYPT_COST = 10
BCRYPT_BYTES = 72  # bcrypt sees no more of a password

_source = secrets.SystemRandom()


@dataclass(frozen=True)
class Class:
    """A class of characters: whether the free places may hold it, and how many of it there must be."""

    characters: str
    allowed: bool
    minimum: int


def classes(
    *, upper: bool, lower: bool, numeric: bool, special: bool, minimum: tuple[int, int, int, int], override: str | None
) -> list[Class]:
    """Return the four classes; `minimum` is for upper, lower, numeric and special, in this order."""
    return [
        Class(string.ascii_uppercase, upper, minimum[0]),
        Class(string.ascii_lowercase, lower, minimum[1]),
        Class(string.digits, numeric, minimum[2]),
        Class(override or SPECIAL, special, minimum[3]),
    ]


def draw(length: int, of: list[Class]) -> str:
    """Return `length` characters: each class's minimum, the rest from all allowed, shuffled, cryptographically random.

    A class with a minimum is drawn from even if it is not allowed elsewhere.
    """
    drawn = [secrets.choice(each.characters) for each in of for _ in range(each.minimum)]
    anything = "".join(each.characters for each in of if each.allowed)
    drawn += [secrets.choice(anything) for _ in range(length - len(drawn))]
    _source.shuffle(drawn)
    return "".join(drawn)


def bcrypt_hash(text: str) -> str:
    """Return the bcrypt hash, cost 10, of the first 72 bytes of a text."""
    import bcrypt  # 20 ms to load, and most runs make no password

    return bcrypt.hashpw(text.encode()[:BCRYPT_BYTES], bcrypt.gensalt(BCRYPT_COST)).decode()
