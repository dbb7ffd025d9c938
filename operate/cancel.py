"""`make cancel`: takes a lock off the stack that a run which is gone has left."""

from __future__ import annotations

import os

from operate import stack as stacks
from operate.request import Request, prepared
from setup import state
from setup.problem import Problem
from setup.processes import Failed


def run(request: Request) -> int:
    """Remove the stack's Pulumi locks; refuse while one of these commands is at work on it on this machine."""
    with request.alone():
        stack = stacks.existing(request.stack, request.places, prepared(request))
        local = stacks.is_local(stack.environment, request.places)
        locks = state.locks_on(request.places.backend, stack.name) if local else []
        for held in locks:
            alive = held.host == os.uname().nodename and not state.dead([held])
            if alive and not request.says_yes("YES"):
                raise Problem(
                    f"Process {held.pid}, which holds the lock, is alive on this machine.",
                    f"stop it first (kill -INT {held.pid}), or say make cancel STACK={stack.name} YES=yes",
                )
        try:
            with stacks.project_folder() as folder:
                stack.ask("-C", str(folder), "cancel", "--yes", stack.name)
        except Failed as error:
            raise Problem(
                f"Pulumi could not take the lock off:\n{error.words}", "see that the stack is there: make status"
            ) from error
        for held in locks:
            request.terminal.say(f"Removed the lock of {held}.")
        if not locks:
            request.terminal.say(f"The stack {stack.name} is not locked." if local else f"Cancelled on {stack.name}.")
        request.terminal.say(f"make up STACK={stack.name} mends what was cut off.")
    return 0
