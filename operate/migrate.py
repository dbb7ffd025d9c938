"""`make migrate`: runs the migrations of the release that serves once more."""

from __future__ import annotations

from operate import platforms
from operate.request import Request

SERVICE = "migrate"
WAIT_SECONDS = 900


def run(request: Request) -> int:
    """Run them, print what they say, and return their exit code; what has run already stays as it is."""
    return platforms.of(request).migrate(request)


def said_of(code: int) -> str:
    """Return the sentence about how the migrations ended."""
    return "The migrations are done." if code == 0 else f"The migrations ended with exit code {code}."
