"""Why a step did not succeed, and whether trying again may help."""

from __future__ import annotations

from backup.error import StopError


class TransientError(StopError):
    """Something outside is not there just now; the same step, done again, may succeed."""


class SwitchError(TransientError):
    """A container could not be stopped or started just now, though that was tried for a while."""


class RejectedError(StopError):
    """The file is not one that can be restored; nothing was touched for it."""
