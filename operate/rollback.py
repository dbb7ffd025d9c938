"""`make rollback`: the release before this one, or a named one, runs again as it was; nothing is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from operate import kept as releases
from operate import stack as stacks
from operate import up
from operate.request import Request
from operate.stack import Stack
from setup import virtualenv
from setup.problem import Problem

if TYPE_CHECKING:
    from infra.bundle import Kept

WITH_DOWNGRADE = "--with-downgrade"


@dataclass(frozen=True)
class Wanted:
    """Which release to go back to, empty for the one before; and whether its schema may be taken back for it."""

    release: str
    downgrade: bool


def run(request: Request) -> int:
    """Pin the release and run `pulumi up`; whatever speaks against it is said before anything is changed."""
    wanted = wanted_by(request)
    with request.alone():
        prepared = up.ready(request)
        stack = stacks.get_open(request.stack, request.places, prepared, request.terminal)
        history = releases.of_stack(request, stack)
        serving = str(stack.outputs().get("release") or "")
        target = choose(history, serving, wanted.release, request.stack)
        refuse_a_schema_too_new(request, target, history, wanted)
        pin(request, stack, target, wanted)
        return up.update(request, stack)


def wanted_by(request: Request) -> Wanted:
    """Return what was asked for; raise Problem for words that say nothing."""
    words = [word for word in request.arguments if word != WITH_DOWNGRADE]
    if len(words) > 1 or any(word.startswith("-") for word in words):
        raise Problem(
            f"make rollback does not know {' '.join(words)!r}.",
            f"make rollback STACK={request.stack} ARGS='ID {WITH_DOWNGRADE}', both of them optional",
        )
    return Wanted(words[0] if words else "", downgrade=len(words) != len(request.arguments))


def choose(history: Sequence[Kept], serving: str, name: str, stack: str) -> Kept:
    """Return the release to go back to: the named one, or the one made before the one that serves.

    Raise Problem where there is none such; going back twice goes back further.
    """
    known = [each.release for each in history]
    names = {name: each for each in history for name in each.names}
    show = f"make releases STACK={stack} shows what is kept"
    if name:
        if name not in names:
            raise Problem(f"There is no release {name} to go back to ({', '.join(known) or 'none is kept'}).", show)
        if serving in names[name].names:
            raise Problem(f"The release {name} serves already.", show)
        return names[name]
    if not known:
        raise Problem(f"The stack {stack} keeps no release yet.", f"make up STACK={stack} makes the first one")
    older = history[known.index(serving) + 1 :] if serving in known else history
    if not older:
        raise Problem(f"Nothing older than the release {serving} is kept.", f"{show}; keepReleases says how many")
    return older[0]


def refuse_a_schema_too_new(request: Request, target: Kept, history: Sequence[Kept], wanted: Wanted) -> None:
    """Raise Problem where the release cannot live with the schema and nobody said that it may be taken back."""
    virtualenv.enter(request.places)
    from infra import pin as pins

    breaking = pins.breaking(target, history)
    if breaking and not wanted.downgrade:
        raise Problem(
            f"The release {target.release} cannot live with the schema: {', '.join(breaking)} came after it and "
            f"{'is' if len(breaking) == 1 else 'are'} not declared compatible. Nothing was changed.",
            f"make rollback STACK={request.stack} ARGS='{target.release} {WITH_DOWNGRADE}' takes the schema back first "
            "(visitors see the maintenance page meanwhile, and what only the newer schema holds is lost); "
            "or restore a backup from before",
        )


def pin(request: Request, stack: Stack, target: Kept, wanted: Wanted) -> None:
    """Write the pin into the stack's settings."""
    stack.set(releases.SETTING, target.release)
    if wanted.downgrade:
        stack.set(releases.DOWNGRADE, "true")
    elif request.setting(releases.DOWNGRADE) is not None:
        stack.unset(releases.DOWNGRADE)
    request.terminal.note(f"pinned to the release {target.release} of {target.made_at}")
