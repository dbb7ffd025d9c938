"""`make restore-pit TO="2026-11-22 14:05"`: the database as it was then, in a new volume, proven before it is used."""

from __future__ import annotations

from dataclasses import replace

from operate import consent, generations, moment, pit, up
from operate import stack as stacks
from operate.generations import Generations
from operate.pit import LATEST, Reach
from operate.request import Request
from operate.stack import Stack
from setup.problem import Problem


def run(request: Request) -> int:
    """Have a new volume filled and proven, and the database moved onto it; the present one is kept as it is."""
    target = wanted_by(request)
    pit.refuse_without_archive(request)
    with request.alone():
        prepared = up.ready(request)
        stack = stacks.get_open(request.stack, request.places, prepared, request.terminal)
        found = asked(request)
        if found:
            refuse_out_of_reach(target, found, request.stack)
        before = generations.of(request)
        consent.given(
            request,
            f"What was written after {shown(target)} is gone from the site, and stays in the volume {before.active}",
            request.stack,
            f'make restore-pit STACK={request.stack} YES=yes TO="…"',
        )
        new = before.next()
        restored = Generations(new, (*before.every, new), f"{new}@{target}")
        generations.write(stack, before, restored)
        request.terminal.note(f"restoring to {shown(target)} into the volume {new}; {before.active} stays as it is")
        code = up.update(request, stack)
        if code != 0:
            return give_up(request, stack, before, restored, code)
        request.terminal.note("the restore is done, and its job is taken away")
        code = up.update(request, stack)
        if code != 0:
            return code
    say, old = request.terminal.say, before.active
    say(f"The database is as it was at {shown(target)}, on the volume {new}. {old} is kept as it was.")
    say(f"  back to it: make config STACK={request.stack} ARGS='set {generations.ACTIVE} {old}', then make up")
    say(f"  rid of it:  make forget-volume STACK={request.stack} NAME={old}")
    return 0


def wanted_by(request: Request) -> str:
    """Return what was asked for, as settings have it; raise Problem for what is no moment, or one to come."""
    given = request.environment.get("TO", "").strip()
    if request.arguments or not given:
        raise Problem(
            "make restore-pit wants a moment.",
            f'make restore-pit STACK={request.stack} TO="2026-11-22 14:05", or TO={LATEST} for the last there is',
        )
    return LATEST if given == LATEST else moment.written(moment.read("TO", given))


def shown(target: str) -> str:
    """Return a target as a person reads it."""
    return "the end of the archive" if target == LATEST else moment.shown(target)


def asked(request: Request) -> Reach | None:
    """Return what can be reached, up to this moment; None, and why, where the database cannot be asked."""
    try:
        with request.terminal.step("archive", "everything up to now is archived") as step:
            found = pit.ask(request, "seal")
            step.outcome = "everything up to now is archived" if not found.trouble else found.trouble
    except Problem as problem:
        request.terminal.note(f"{problem.cause} The restore itself will see what can be reached.")
        return None
    return found


def refuse_out_of_reach(target: str, found: Reach, stack: str) -> None:
    """Raise Problem with what can be reached where the moment is not in it."""
    if found.windows and (target == LATEST or any(window.holds(target) for window in found.windows)):
        return
    spans = ", and ".join(map(str, found.windows)) or "nothing, since there is no base backup yet"
    raise Problem(
        f"{shown(target)} cannot be reached. What can be reached is {spans}. Nothing was changed.",
        f'make restore-pit STACK={stack} TO="…" with a moment in there; make pit STACK={stack} tells more',
    )


def give_up(request: Request, stack: Stack, before: Generations, restored: Generations, code: int) -> int:
    """Take the settings back, unless the database is on the new volume already; return the exit code."""
    say = request.terminal.say
    if generations.is_on(stack.resources(), restored.active):
        say(f"The database is on the restored volume {restored.active}; what failed came after that. make up goes on.")
        return code
    generations.write(stack, generations.of(request), replace(before, kept=restored.kept))
    say(
        f"The database is still on {before.active}, and nothing of it was changed. The volume {restored.active} holds "
        f"nothing that is used: make forget-volume NAME={restored.active} STACK={request.stack} deletes it."
    )
    return code
