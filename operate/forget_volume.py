"""`make forget-volume NAME=database`: deletes a volume that the database was on, for ever."""

from __future__ import annotations

from dataclasses import replace

from operate import consent, generations, platforms, up
from operate import stack as stacks
from operate.generations import ARCHIVE, Generations
from operate.request import Request
from operate.stack import Stack
from setup.problem import Problem
from setup.processes import Failed

BUCKET = "pitrS3Bucket"
OF_A_BUCKET = ("pitrS3AccessKey", "pitrS3SecretKey", BUCKET)
"""Settings that mean nothing without an archive, in the order in which they go: the bucket tells a run that goes on."""


def run(request: Request) -> int:
    """Take it out of the settings and the state, then delete it; one in use, or of another stack, is refused."""
    name = request.environment.get("NAME", "").strip()
    known = generations.of(request)
    if request.arguments or not name:
        raise Problem(
            "make forget-volume wants the name of a volume.",
            f"make forget-volume STACK={request.stack} NAME=…, one of: {', '.join(others(known)) or 'there is none'}",
        )
    refuse_in_use(request, known, name)
    with request.alone():
        prepared = up.ready(request)
        stack = stacks.get_open(request.stack, request.places, prepared, request.terminal)
        urn = generations.urn_of(stack.resources(), name)
        if not urn and name not in known.every:
            raise Problem(
                f"The stack {request.stack} has no volume {name}.",
                f"those that nothing uses: {', '.join(others(known)) or 'none'}",
            )
        consent.given(
            request,
            f"This deletes the volume {name} of the stack {request.stack}, with all that is in it, for ever"
            + (", and ends the archiving" if name == ARCHIVE else "")
            + ("; what is in its bucket stays there" if name == ARCHIVE and request.setting(BUCKET) else ""),
            name,
            f"make forget-volume STACK={request.stack} NAME={name} YES=yes",
        )
        if urn:
            unprotect(stack, urn)
        generations.write(stack, known, without(known, name))
        if name == ARCHIVE:
            stack.set("pitr", "false")
            for key in OF_A_BUCKET if request.setting(BUCKET) else ():
                stack.unset(key)
        code = up.update(request, stack)
        if code != 0:
            return code
        platforms.of(request).delete_volume(request, name)
    return 0


def others(known: Generations) -> list[str]:
    """Return those that are not in use."""
    return [name for name in known.every if name != known.active]


def without(known: Generations, name: str) -> Generations:
    """Return the generations without one of them; without the archive nothing is restored."""
    restore = "" if name in (known.restore.partition("@")[0], ARCHIVE) else known.restore
    return replace(known, kept=tuple(each for each in known.kept if each != name), restore=restore)


def refuse_in_use(request: Request, known: Generations, name: str) -> None:
    """Raise Problem for what is in use, and for a name that is none of the database's volumes."""
    if name == known.active:
        raise Problem(f"The database of the stack {request.stack} is on {name}.", "name one that it was on before")
    if name not in (ARCHIVE, generations.FIRST) and not name.startswith(f"{generations.FIRST}-"):
        raise Problem(
            f"{name} is none of the volumes that a database is on.",
            f"make destroy STACK={request.stack} DELETE_DATA=yes is what deletes all others",
        )


def unprotect(stack: Stack, urn: str) -> None:
    """Lift the protection of one volume in the state; raise Problem when Pulumi cannot."""
    try:
        stack.ask("state", "unprotect", urn, "--yes", "--stack", stack.name)
    except Failed as error:
        raise Problem(
            f"Pulumi could not lift the protection:\n{error.words}", "mend that; nothing was deleted"
        ) from error
