"""`make backup`: makes a backup now, tells how far it is, and restores it to prove it."""

from __future__ import annotations

from operate import within
from operate.request import Request

SERVICE = "db-backup"
COMMAND = ("env", "LOG_FORMAT=text", "python", "-m", "backup")


def run(request: Request) -> int:
    """Make it where backups are made, and return 0 when it counts; one that is made already is waited for."""
    return within.run(request, SERVICE, [*COMMAND, "run", "--wait", *request.arguments])
