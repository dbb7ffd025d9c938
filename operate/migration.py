"""What is known of a stack's migration on either platform: its job's name, how long it may take, how it ended."""

from __future__ import annotations

SERVICE = "migrate"
WAIT_SECONDS = 900


def said_of(code: int) -> str:
    """Return the sentence about how the migrations ended."""
    return "The migrations are done." if code == 0 else f"The migrations ended with exit code {code}."
