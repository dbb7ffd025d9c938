"""`make preview`: what an update would do; no container, network or volume is touched."""

from __future__ import annotations

from operate import stack as stacks
from operate.request import Request, prepared


def run(request: Request) -> int:
    """Show what `make up` would change."""
    with request.alone():
        ready = prepared(request)
        stack = stacks.get_open(request.stack, request.places, ready, request.terminal)
        return stack.pulumi("preview", *request.arguments)
