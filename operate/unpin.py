"""`make unpin`: the next `make up` runs what is in the clone again, and no former release."""

from __future__ import annotations

from operate import kept as releases
from operate import stack as stacks
from operate.request import Request, prepared


def run(request: Request) -> int:
    """Take the pin out of the stack's settings; nothing that runs is changed."""
    with request.alone():
        stack = stacks.get_open(request.stack, request.places, prepared(request), request.terminal)
        former = releases.pinned(request)
        for key in (releases.SETTING, releases.DOWNGRADE):
            if request.setting(key) is not None:
                stack.unset(key)
        request.terminal.say(
            f"The stack {stack.name} was pinned to {former}; make up STACK={stack.name} runs what is in the clone."
            if former
            else f"The stack {stack.name} is not pinned."
        )
    return 0
