"""What can go wrong between this side and a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BAD_REQUEST = 400
CONFLICT = 409
NOT_FOUND = 404
GONE = 410
UNAUTHORIZED = 401
FORBIDDEN = 403
INVALID = 422
TOO_MANY = 429


class UnreachableError(Exception):
    """No API server answers at the address, or what answers is none."""


class SlowError(UnreachableError):
    """The API server did not answer in the time the call was given."""


class ApiError(Exception):
    """The API server refused a request; `message` holds its words, `reason` its one-word class."""

    def __init__(self, status: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(status, reason, message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details: Mapping[str, Any] = details or {}

    def __str__(self) -> str:
        return self.message

    @property
    def gone(self) -> bool:
        """Say whether what was asked for does not exist."""
        return self.status == NOT_FOUND


def refused(status: int, body: object, text: str) -> ApiError:
    """Return the error that an answer with a status of 400 or more means."""
    if isinstance(body, dict) and body.get("kind") == "Status":
        details = body.get("details")
        return ApiError(
            int(body.get("code") or status),
            str(body.get("reason") or ""),
            str(body.get("message") or text[:500]),
            details if isinstance(details, dict) else {},
        )
    return ApiError(status, "", text.strip()[:500] or f"the server answered with the status {status}")
