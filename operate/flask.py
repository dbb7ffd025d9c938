"""`make flask ARGS='users list'`: runs a command of the app's own where the app runs, with what it needs to know."""

from __future__ import annotations

import sys

from operate import kept, within
from operate.request import Request

SERVICE = "web"
COMMAND = ("flask", "--app", "scaffold:create_app")
# What it ends with where it knows no such command, or not with these words.
UNKNOWN = 2


def run(request: Request) -> int:
    """Run it with this process's own input and output, and return its exit code; without words it says its help."""
    code = within.run(request, SERVICE, [*COMMAND, *(request.arguments or ["--help"])])
    release = kept.pinned(request)
    if code == UNKNOWN and release:
        words = f"The stack {request.stack} is pinned to release {release}, which may not know this command yet.\n"
        sys.stderr.write(f"{words}  Fix: {kept.unpin_words(request.stack)}\n")
    return code
