"""The digits at the end of generated names: the engine's seed gives the same ones as with the official provider."""

from __future__ import annotations

import hashlib
import os
import struct

DIGITS = 8
WORD = 0xFFFFFFFF
QUARTERS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip


def suffix(seed: bytes) -> str:
    """Return eight hexadecimal digits that follow from a seed; without one they are random."""
    if not seed:
        return os.urandom(DIGITS // 2).hex()
    # The official provider draws each digit as a number of 64 bits from Go's generator, which is ChaCha8 on four
    # blocks at once, their words interleaved: digits come from the even blocks, and the first eight from four words.
    key = hashlib.sha256(seed).digest()
    blocks = [_block(key, counter) for counter in (0, 2)]
    return "".join(f"{block[word] & 0xF:x}" for word in range(DIGITS // 2) for block in blocks)


def _block(key: bytes, counter: int) -> list[int]:
    """Return a block's words after eight rounds of ChaCha; those of the digits are not added to what they were."""
    state = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter, 0, 0, 0]
    for _ in range(4):
        for a, b, c, d in QUARTERS:
            for to, by, turned, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                state[to] = (state[to] + state[by]) & WORD
                mixed = state[turned] ^ state[to]
                state[turned] = (mixed << bits | mixed >> (32 - bits)) & WORD
    return state
