"""The stack's Docker objects that its state does not know: what a killed run left."""

from __future__ import annotations

import contextlib

from operate.docker.containers import daemon_of
from operate.request import Request
from operate.stack import Stack
from setup import preflight, state
from setup.daemon import Daemon, DaemonError
from setup.problem import Problem
from setup.state import Known, Strays, container_name

GRACE_SECONDS = 30


def mend(request: Request, stack: Stack) -> None:
    """Take away stray containers and networks, and let go on what is paused."""
    say = request.terminal.note
    daemon = daemon_of(request)
    strays = of_stack(stack.name, stack.known(), daemon)
    for row in daemon.labelled("containers", state.labels(stack.name)):
        # Pulumi's Docker provider sees a container that runs, and would leave it as it is.
        if row.get("State") == "paused":
            daemon.post(f"/containers/{row['Id']}/unpause")
            say(f"the container {container_name(row)} was paused; it goes on")
    for sentence in sweep(strays, daemon):
        say(sentence)
    note = preflight.stray_volumes_note(strays)
    if note:
        say(note)


def of_stack(stack: str, known: Known, daemon: Daemon) -> Strays:
    """Return the stack's Docker objects that its state does not know."""
    carried = state.labels(stack)
    return state.strays(known, *(daemon.labelled(kind, carried) for kind in ("containers", "networks", "volumes")))


def sweep(strays: Strays, daemon: Daemon) -> list[str]:
    """Remove stray containers, then networks, and return what was removed; volumes are left alone."""
    said = []
    for row in strays.containers:
        # In its own time first: a database that is killed has to recover.
        with contextlib.suppress(DaemonError, OSError):
            daemon.post(f"/containers/{row['Id']}/stop", timeout=GRACE_SECONDS + 15, t=str(GRACE_SECONDS))
        daemon.delete(f"/containers/{row['Id']}", force="1", timeout=60)
        said.append(f"removed the container {container_name(row)}, which the state does not know")
    for row in strays.networks:
        try:
            daemon.delete(f"/networks/{row['Id']}")
        except DaemonError as error:
            raise Problem(
                f"The network {row['Name']} is not in the state and cannot be removed: {error}.",
                f"disconnect what uses it (docker network inspect {row['Name']}) and run this again",
            ) from error
        said.append(f"removed the network {row['Name']}, which the state does not know")
    return said
