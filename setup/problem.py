"""What is wrong and what to do about it."""

from __future__ import annotations


class Problem(Exception):  # noqa: N818 - it is what a person reads, and it is mostly not raised
    """A reason not to go on, with its remedy; both are sentences for the person at the terminal."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause, fix)
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.cause}\n  Fix: {self.fix}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and (self.cause, self.fix) == (other.cause, other.fix)

    def __hash__(self) -> int:
        return hash((self.cause, self.fix))
