"""`make logs`: what the stack's processes say, each line with where it comes from."""

from __future__ import annotations

from operate import platforms
from operate.request import Request


def run(request: Request) -> int:
    """Print the last lines (`LINES=50`) of everything or of one `SERVICE`; `FOLLOW=yes` goes on until Ctrl-C."""
    return platforms.of(request).logs(request)
