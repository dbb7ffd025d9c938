"""A command inside a service of the stack, for the verbs that are one: their standard output is the command's alone."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import replace

from operate import platforms
from operate.request import Request
from setup.terminal import Terminal

INTERRUPTED = 130


def run(request: Request, service: str, command: Sequence[str]) -> int:
    """Run it with this process's own input and output, and return its exit code."""
    request = replace(request, terminal=Terminal(sys.stderr))
    try:
        return platforms.of(request).command(request, command, service)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted: what it was doing in the container may go on there.\n")
        return INTERRUPTED


def answer(request: Request, service: str, command: Sequence[str]) -> tuple[int, str]:
    """Run it and return its exit code and what it printed; raise Problem where the service does not run."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(said):
        code = platforms.of(request).command(request, command, service)
    said.seek(0)
    return code, said.read()
