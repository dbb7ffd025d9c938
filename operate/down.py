"""`make down`: stops what the stack runs and keeps everything; the next `make up` brings it back."""

from __future__ import annotations

from operate import platforms
from operate.request import Request


def run(request: Request) -> int:
    """Stop everything in order, each with time to finish what it does."""
    return platforms.of(request).down(request)
