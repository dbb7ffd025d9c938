"""Which lines of the logs are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from operate.request import Request
from setup.problem import Problem

LINES = 50


@dataclass(frozen=True)
class Wanted:
    """Which lines: of one service or, without a name, of all; how many of the last; and whether to go on."""

    service: str
    lines: int
    follow: bool


def wanted_by(request: Request) -> Wanted:
    """Return which lines the request asks for; raise Problem for a number that is none."""
    lines = request.environment.get("LINES", "") or str(LINES)
    if not lines.isdigit():
        raise Problem(f"LINES is {lines!r}; a number is wanted.", "make logs LINES=100")
    return Wanted(request.environment.get("SERVICE", ""), int(lines), request.says_yes("FOLLOW"))


def no_such_service(stack: str, service: str, names: set[str]) -> Problem:
    """Return what to say where the stack has no service of that name."""
    return Problem(f"The stack {stack} has no service {service!r}.", f"one of: {', '.join(sorted(names))}")
