"""Why a file is not restored, in words for who put it there."""

from __future__ import annotations

from backup.error import StopError


class RefusalError(StopError):
    """A file or a load is refused: why, what to do about it, and whether trying again may help."""

    def __init__(self, reason: str, hint: str, *, transient: bool = False) -> None:
        """Take the reason and the hint, both in one line."""
        super().__init__(f"{reason}. {hint}")
        self.reason = reason
        self.hint = hint
        self.transient = transient
