"""The releases that a stack can go back to, as its outputs have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from operate.request import Request
from operate.stack import Stack
from setup import virtualenv
from setup.problem import Problem
from setup.processes import Failed

if TYPE_CHECKING:
    from infra.bundle import Kept

SETTING = "release"
DOWNGRADE = "releaseDowngrade"


def of_stack(request: Request, stack: Stack) -> Sequence[Kept]:
    """Return the kept releases, newest first; raise Problem where they cannot be read."""
    virtualenv.enter(request.places)
    from infra import bundle

    try:
        text = stack.ask("stack", "output", "bundles", "--show-secrets", "--stack", stack.name)
    except Failed as error:
        if "does not have output property" in error.words or "no output" in error.words:
            return ()
        raise Problem(
            f"The releases of the stack {stack.name} cannot be read:\n{error.words}", "mend that and run this again"
        ) from error
    try:
        return bundle.read(text.strip())
    except bundle.UnreadableError as error:
        raise Problem(f"The releases of the stack {stack.name}: {error}.", "use the version that wrote them") from error


def pinned(request: Request) -> str:
    """Return the release that the stack is pinned to, or nothing."""
    return request.setting(SETTING) or ""


def unpin_words(stack: str) -> str:
    """Return how a stack goes on with what is in the clone."""
    return f"make unpin STACK={stack}, then make up STACK={stack}, goes on with what is in the clone"
