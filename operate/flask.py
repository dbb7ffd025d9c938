"""`make flask ARGS='users list'`: runs a command of the app's own where the app runs, with what it needs to know."""

from __future__ import annotations

import sys
from dataclasses import replace

from operate import kept, platforms
from operate.request import Request
from setup.terminal import Terminal

COMMAND = ("flask", "--app", "scaffold:create_app")
# What it ends with where it knows no such command, or not with these words.
UNKNOWN = 2
INTERRUPTED = 130


def run(request: Request) -> int:
    """Run it with this process's own input and output, and return its exit code; without words it says its help."""
    request = replace(request, terminal=Terminal(sys.stderr))
    command = [*COMMAND, *(request.arguments or ["--help"])]
    try:
        code = platforms.of(request).command(request, command)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted: what it was doing in the container may go on there.\n")
        return INTERRUPTED
    release = kept.pinned(request)
    if code == UNKNOWN and release:
        words = f"The stack {request.stack} is pinned to release {release}, which may not know this command yet.\n"
        sys.stderr.write(f"{words}  Fix: {kept.unpin_words(request.stack)}\n")
    return code
