"""`make preview`: what an update would do; nothing that runs is touched."""

from __future__ import annotations

from operate import platforms
from operate import stack as stacks
from operate.request import Request


def run(request: Request) -> int:
    """Show what `make up` would change."""
    with request.alone():
        ready = platforms.ready_for(request)
        stack = stacks.get_open(request.stack, request.places, ready, request.terminal)
        return stack.pulumi("preview", *request.arguments)
