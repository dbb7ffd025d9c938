"""The stack's images: those of releases that are not kept any more are removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from operate import stack as stacks
from operate.docker.containers import daemon_of
from operate.request import Request
from operate.stack import Stack
from setup import state
from setup.daemon import DaemonError, name_in_path
from setup.places import NAME

LABEL = "scaffold.project"


def prune(request: Request, stack: Stack) -> None:
    """Remove this project's images that no stack of this machine speaks of, and no container was made from.

    Other stacks' states are here only where they are kept on this machine; elsewhere nothing is removed.
    """
    if not stacks.is_local(stack.environment, request.places):
        return
    client = daemon_of(request)
    present = [
        name
        for row in client.get("/images/json", filters=f'{{"label":["{LABEL}={NAME}"]}}')
        for name in row.get("RepoTags") or []
    ]
    for name in unspoken(present, state.texts(request.places.backend)):
        try:
            client.delete(f"/images/{name_in_path(name)}", timeout=120)
        except DaemonError:  # a container was made from it
            continue
        request.terminal.note(f"removed the image {name}: no release is kept that needs it")


def unspoken(names: Sequence[str], states: Iterable[str]) -> list[str]:
    """Return the images of which no state speaks; the states name kept ones without the project."""
    texts = list(states)
    return [name for name in names if not any(name.removeprefix(f"{NAME}-") in text for text in texts)]
