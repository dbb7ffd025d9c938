"""`make restore-undo`: goes back to the database that was live before a restore."""

from __future__ import annotations

from operate import consent
from operate.request import Request
from operate.restore import followed


def run(request: Request) -> int:
    """Ask, then go back, to before the newest restore or the job that is named; return 0 when it is live."""
    loss = f"This takes the database of the stack {request.stack} back to what it was before a restore"
    consent.given(request, loss, request.stack, f"make restore-undo STACK={request.stack} YES=yes")
    return followed(request, ["undo", "--wait", *request.arguments])
