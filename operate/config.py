"""`make config`: `pulumi config` on the stack file that this machine uses."""

from __future__ import annotations

from operate import stack as stacks
from operate.request import Request, prepared


def run(request: Request) -> int:
    """Show or change the stack's settings; the words after it are `pulumi config`'s own."""
    if request.arguments[:1] == ["refresh"]:
        request.terminal.say("`config refresh` would drop what was set since the last update; it is not offered here.")
        return 2
    with request.alone():
        ready = prepared(request)
        stack = stacks.get_open(request.stack, request.places, ready, request.terminal)
        return stack.pulumi("config", *request.arguments)
