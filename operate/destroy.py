"""`make destroy`: takes the stack away; data only when told so in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from operate import consent, platforms, recovering
from operate import stack as stacks
from operate.request import Request
from operate.stack import Stack
from setup.problem import Problem
from setup.processes import Failed


def run(request: Request) -> int:
    """Ask, then destroy; refuse while protected data would go and `DELETE_DATA=yes` was not said."""
    with request.alone():
        stack = stacks.existing(request.stack, request.places, platforms.ready_for(request))
        if not stack.known().exists:
            raise Problem(f"This state knows no stack {stack.name}.", f"make up STACK={stack.name} makes one")
        stacks.check_passphrase(stack)
        protected = [resource for resource in stack.resources() if resource.get("protect")]
        delete_data = request.says_yes("DELETE_DATA")
        if protected and not delete_data:
            raise refusal(stack.name, protected)
        confirm(request, loses_data=bool(protected) or delete_data)
        if protected:
            unprotect(stack)
        code = stack.pulumi("destroy", "--yes", "--skip-preview", *request.arguments)
        if code != 0:
            request.terminal.say(f"`pulumi destroy` ended with exit code {code}; make destroy again goes on from here.")
            return code
        platforms.of(request).take_away(request, stack, protected, delete_data=delete_data)
        recovering.end(request.places, stack.name)
        request.terminal.say(
            f"The stack {stack.name} is gone; its settings and passphrase stay in {request.places.state}."
        )
    return 0


def refusal(stack: str, protected: Sequence[Mapping[str, Any]]) -> Problem:
    """Return what would be lost, and the two ways on."""
    return Problem(
        f"The stack {stack} holds protected data: {', '.join(sorted(map(describe, protected)))}. Nothing was changed.",
        f"make down STACK={stack} stops it and keeps the data; "
        f"make destroy STACK={stack} DELETE_DATA=yes deletes the data for ever",
    )


def describe(resource: Mapping[str, Any]) -> str:
    """Return a resource as a person knows it."""
    kind = str(resource.get("type", "")).rpartition(":")[2].lower()
    return f"{kind} {resource.get('id') or str(resource.get('urn', '')).rpartition('::')[2]}"


def confirm(request: Request, *, loses_data: bool) -> None:
    """Have the stack's name typed; raise Problem when it is not. `YES=yes` answers where nobody can type."""
    loss = " and DELETES ITS DATA" if loses_data else ""
    unasked = f"make destroy STACK={request.stack} YES=yes" + (" DELETE_DATA=yes" if loses_data else "")
    consent.given(request, f"This destroys the stack {request.stack}{loss}", request.stack, unasked)


def unprotect(stack: Stack) -> None:
    """Lift the protection in the state; raise Problem when Pulumi cannot."""
    try:
        stack.ask("state", "unprotect", "--all", "--yes", "--stack", stack.name)
    except Failed as error:
        raise Problem(
            f"Pulumi could not lift the protection:\n{error.words}", "mend that; nothing was deleted"
        ) from error
