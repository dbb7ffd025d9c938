"""`make backups`: what backups there are; `ARGS` look at one, verify, keep or fetch it."""

from __future__ import annotations

from operate import within
from operate.backup import COMMAND, SERVICE
from operate.request import Request


def run(request: Request) -> int:
    """Run one of the backup service's commands, the list without words, and return its exit code."""
    return within.run(request, SERVICE, [*COMMAND, *(request.arguments or ["list"])])
