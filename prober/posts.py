"""Which numbered requests were answered, a byte each, to be compared with what the server did."""

from __future__ import annotations

from collections.abc import Iterable

NOT_SENT, SENT, DONE = 0, 1, 2


class Posts:
    """What is known of each numbered request."""

    def __init__(self) -> None:
        self.known = bytearray()

    def note(self, number: int, what: int) -> None:
        """Note that one was sent, or answered as done."""
        if number >= len(self.known):
            self.known.extend(bytes(number + 1 - len(self.known)))
        self.known[number] = what

    @property
    def done(self) -> int:
        """How many were answered as done."""
        return self.known.count(DONE)

    def wrong(self, executed: Iterable[tuple[int, int]]) -> list[str]:
        """Return what is wrong with what the server did, as pairs of a number and how often it was done."""
        found = []
        missing = {number for number, what in enumerate(self.known) if what == DONE}
        for number, times in executed:
            missing.discard(number)
            if times > 1:
                found.append(f"{number} was done {times} times")
            if number >= len(self.known) or self.known[number] == NOT_SENT:
                found.append(f"{number} was done, but not sent")
        return found + [f"{number} was answered as done, but was not" for number in sorted(missing)]
