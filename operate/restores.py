"""`make restores`: what has been restored, with its receipts; with `ARGS=status`, what is being restored now."""

from __future__ import annotations

from operate import within
from operate.request import Request
from operate.restore import COMMAND, SERVICE


def run(request: Request) -> int:
    """Run one of the restore service's commands, the list without words, and return its exit code."""
    return within.run(request, SERVICE, [*COMMAND, *(request.arguments or ["list"])])
