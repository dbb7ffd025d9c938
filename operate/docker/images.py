"""The stack's images: those of releases that are not kept any more are removed."""

from __future__ import annotations

import json
from collections.abc import Sequence

from operate import stack as stacks
from operate.docker.containers import daemon_of
from operate.request import Request
from operate.stack import Stack
from setup import state
from setup.daemon import Daemon, DaemonError, name_in_path
from setup.places import NAME

LABEL = "scaffold.project"


def prune(request: Request, stack: Stack) -> None:
    """Remove the stack's images that its state does not speak of, and no container was made from.

    Those of other stacks stay, whichever state knows them. A state that cannot be read says nothing against any.
    """
    spoken = state_of(request, stack)
    if spoken:
        client = daemon_of(request)
        for name in remove(client, unspoken(own(client, stack.name), stack.name, spoken)):
            request.terminal.note(f"removed the image {name}: no release is kept that needs it")


def state_of(request: Request, stack: Stack) -> str:
    """Return the stack's state as text, wherever it is kept; nothing where there is none that can be read."""
    if stacks.is_local(stack.environment, request.places):
        known = state.latest_of(request.places.backend, stack.name) or {}
    else:
        known = {"resources": stack.resources()}
    return json.dumps(known) if known.get("resources") else ""


def own(client: Daemon, stack: str) -> list[str]:
    """Return the names of the stack's images, whose tags end with its name."""
    rows = client.get("/images/json", filters=json.dumps({"label": [f"{LABEL}={NAME}"]}))
    return of_stack([name for row in rows for name in row.get("RepoTags") or []], stack)


def of_stack(names: Sequence[str], stack: str) -> list[str]:
    """Return the images that a stack named."""
    return [name for name in names if name.rpartition(":")[2].partition("-")[2] == stack]


def unspoken(names: Sequence[str], stack: str, spoken: str) -> list[str]:
    """Return those of a stack's images of which its state does not speak; it names kept ones by content alone."""
    return [name for name in names if name.removeprefix(f"{NAME}-").removesuffix(f"-{stack}") not in spoken]


def remove(client: Daemon, names: Sequence[str]) -> list[str]:
    """Take images away, and return those that went; one that a container was made from stays."""
    gone = []
    for name in names:
        try:
            client.delete(f"/images/{name_in_path(name)}", timeout=120)
        except DaemonError:
            continue
        gone.append(name)
    return gone
