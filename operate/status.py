"""`make status`: what runs, how it is doing, and what the state knows."""

from __future__ import annotations

from operate import platforms
from operate.request import Request


def run(request: Request) -> int:
    """Print what the stack has running, its state and locks; exit 1 when something does not run or is unwell."""
    return platforms.of(request).status(request)
