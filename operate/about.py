"""What `make status` says of a stack on either platform: its state, who works on it, and where the site is."""

from __future__ import annotations

from operate import stack as stacks
from operate.request import Request
from setup import state
from setup.locks import current_holder


def about_state(request: Request) -> list[str]:
    """Return the lines about the state, who works on it, and where the site is."""
    address = request.setting("siteUrl")
    return [*about_backend(request), *([f"site     {address}"] if address else [])]


def about_backend(request: Request) -> list[str]:
    """Return the lines about what the state knows and who works on it."""
    environment = stacks.environment_for(request.places, request.environment)
    backend = environment["PULUMI_BACKEND_URL"]
    if not stacks.is_local(environment, request.places):
        return [f"state    {backend}"]
    known = state.read(request.places.backend, request.stack)
    lines = [
        f"state    {known.resources} resources in {backend}" if known.exists else f"state    none yet in {backend}"
    ]
    if known.pending:
        lines.append(f"         {known.pending} operations were cut off; make up STACK={request.stack} mends that")
    lines += [f"locked   by {held}" for held in state.locks_on(request.places.backend, request.stack)]
    holder = current_holder(request.places.state / "locks" / f"{request.stack}.lock")
    if holder:
        lines.append(f"working  {holder}")
    return lines
