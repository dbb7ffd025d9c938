"""`make migrate`: runs the migrations of the release that serves once more."""

from __future__ import annotations

from operate import platforms
from operate.request import Request


def run(request: Request) -> int:
    """Run them, print what they say, and return their exit code; what has run already stays as it is."""
    return platforms.of(request).migrate(request)
