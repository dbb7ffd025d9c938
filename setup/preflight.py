"""What would make an update fail, said before it begins; pure, from facts about the stack."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup.locks import Holder
from setup.plan import listing
from setup.ports import Listener, collide
from setup.problem import Problem
from setup.state import Known, PulumiLock, Strays, container_name

DEFAULT_PORT = 8000
DEFAULT_ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Publisher:
    """A running container that publishes the port on this machine."""

    name: str
    address: str
    ours: bool


def setting(key: str, *texts: str | None) -> str | None:
    """Return a plain setting's value from the first text of a stack file that has it.

    These few are needed before there is anything to read YAML with; values are plain words on one line.
    """
    pattern = re.compile(
        rf"^\s*[\"']?scaffold:{re.escape(key)}[\"']?:[ \t]*([^\s#][^\n]*?)[ \t]*(?:[ \t]#.*)?$", re.MULTILINE
    )
    for text in texts:
        found = pattern.search(text or "")
        if found:
            return found[1].strip("\"'")
    return None


def is_set(key: str, *texts: str | None) -> bool:
    """Return whether a stack file gives a setting a value; a secret's stands on the lines below."""
    pattern = re.compile(rf"^\s*[\"']?scaffold:{re.escape(key)}[\"']?:", re.MULTILINE)
    return any(pattern.search(text or "") for text in texts)


def port_of(*texts: str | None) -> int:
    """Return the port that the gateway will listen on; a value that is no port is left to the program to refuse."""
    value = setting("gatewayPort", *texts) or ""
    return int(value) if value.isdigit() and 0 < int(value) < 65536 else DEFAULT_PORT


def publishers(port: int, containers: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> list[Publisher]:
    """Return the running containers that publish the port, from the daemon's list."""
    found = []
    for row in containers:
        carried = row.get("Labels") or {}
        ours = all(carried.get(key) == value for key, value in labels.items())
        for published in row.get("Ports") or []:
            if published.get("PublicPort") == port and published.get("Type") == "tcp":
                found.append(Publisher(container_name(row), str(published.get("IP", "0.0.0.0")), ours))  # noqa: S104
                break
    return found


def port_problem(
    port: int, address: str, listeners: Sequence[Listener], publishing: Sequence[Publisher]
) -> Problem | None:
    """Return who has the port already, unless it is this stack's own gateway."""
    if any(publisher.ours for publisher in publishing):
        return None
    taken = [str(listener) for listener in listeners if collide(listener.address, address)]
    # Docker's own proxy process holds the port for a container: the container is what a person can act on.
    others = [f"the container {other.name}" for other in publishing if collide(other.address, address)]
    owners = list(dict.fromkeys(others or taken))
    if not owners:
        return None
    stop = f"docker stop {next(iter(publishing)).name}" if others else "stop it"
    return Problem(
        f"Port {port} on {address} is taken by {listing(owners)}.",
        f"{stop}, or use another port: make config ARGS='set gatewayPort 8010' (and siteUrl to match)",
    )


def lock_problem(stack: str, locks: Sequence[PulumiLock]) -> Problem | None:
    """Return who holds the stack's lock, where it is not certain that they are gone."""
    if not locks:
        return None
    holders = listing([str(lock) for lock in locks])
    return Problem(
        f"The stack {stack} is locked by another Pulumi run: {holders}.",
        f"wait for it; if it is gone for certain (killed, or its machine is): make cancel STACK={stack}",
    )


def held_problem(stack: str, holder: Holder | None) -> Problem:
    """Return who is at work on the stack through these commands."""
    who = str(holder) if holder else "another run"
    return Problem(f"The stack {stack} is being worked on by {who}.", "wait until it has ended, then run this again")


def passphrase_problem(
    places_file: Path, present: bool, given: bool, state_exists: bool, tracked_salt: bool, stack_file_exists: bool
) -> Problem | None:
    """Return what is wrong with the passphrase before it is tried.

    `given` says that the environment names one, `tracked_salt` that the tracked stack file carries secrets of its own.
    """
    if given or present:
        return None
    if state_exists:
        return Problem(
            f"The state is encrypted with a passphrase, and its file {places_file} is gone.",
            "put the file back from your copy of it (or set PULUMI_CONFIG_PASSPHRASE_FILE); a new one would not fit",
        )
    if tracked_salt and not stack_file_exists:
        return Problem(
            "The tracked stack file carries secrets that were encrypted with a passphrase of its own.",
            f"put that passphrase into {places_file} (mode 0600), or set PULUMI_CONFIG_PASSPHRASE_FILE to where it is",
        )
    return None


def wrong_passphrase(source: str) -> Problem:
    """Return what to do when the passphrase was tried and does not fit."""
    return Problem(
        f"The passphrase from {source} does not fit the secrets of this stack.",
        "use the one that the stack was made with: put its file back, or unset PULUMI_CONFIG_PASSPHRASE and "
        "PULUMI_CONFIG_PASSPHRASE_FILE if they belong to another project",
    )


def stray_problem(stack: str, known: Known, strays: Strays, sweep: bool) -> Problem | None:
    """Return why strays are not swept away: they run, and this state has never known the stack."""
    # A stack that was only made, or only configured, has never run anything.
    if known.resources or known.pending or sweep or not strays.running:
        return None
    return Problem(
        f"Containers of a stack {stack} run here, and this state has never known it: {listing(strays.running)}. "
        "They may be somebody's live site, put there from another state.",
        "use that state (XDG_STATE_HOME, or PULUMI_BACKEND_URL), or remove them and their networks: "
        f"make up STACK={stack} SWEEP=yes (volumes are kept)",
    )


def stray_volumes_note(strays: Strays) -> str | None:
    """Return what to say about volumes that the state does not know; they are never removed."""
    if not strays.volumes:
        return None
    names = [str(row["Name"]) for row in strays.volumes]
    return (
        f"kept: the volume{'s' if len(names) > 1 else ''} {listing(names)}, which the state does not know. "
        f"Data in there is taken over as it is; to begin empty: docker volume rm {' '.join(names)}"
    )
