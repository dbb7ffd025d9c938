"""`make releases`: what serves, what can be gone back to, and the ledger of all deployments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from operate import kept as releases
from operate import platforms
from operate import stack as stacks
from operate.request import Request, prepared
from operate.table import columns

if TYPE_CHECKING:
    from infra.bundle import Kept


def run(request: Request) -> int:
    """Print the kept releases from the state and the ledger from the database; exit 1 where that does not answer."""
    done = platforms.of(request).handed(request, prepared(request))
    stack = stacks.existing(request.stack, request.places, done)
    history = releases.of_stack(request, stack)
    serving = str(stack.outputs().get("release") or "")
    say = request.terminal.say
    say(request.terminal.bold(f"stack {request.stack}"))
    for line in kept(history, serving, releases.pinned(request)):
        say(f"  {line}")
    if not history:
        say(f"  no release yet; make up STACK={request.stack} makes the first one")
        return 0
    say(f"  make rollback STACK={request.stack} ARGS=ID goes back to one; make unpin to what is in the clone")
    say("ledger")
    lines, told = platforms.of(request).ledger(request)
    for line in lines:
        say(f"  {line}")
    return 0 if told else 1


def kept(history: Sequence[Kept], serving: str, pinned: str) -> list[str]:
    """Return a line for each release that can be gone back to, newest first."""
    return columns(
        [
            (
                each.release,
                each.made_at,
                each.revision or "-",
                f"schema {each.steps[-1].revision if each.steps else '-'}",
                " ".join(
                    word for word in ("serves" * (each.release == serving), "pinned" * (pinned in each.names)) if word
                ),
            )
            for each in history
        ]
    )
