"""The gate's keeper: for whom and for what it is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backup import line, setting
from backup.error import StopError
from restore import place, scope, switchboard
from restore.door import Door, listening
from restore.engine import Engine
from restore.scope import Scope
from restore.verbs import Verbs

DOCKER = "/var/run/docker.sock"
COORDINATOR = 10005
LARGEST_ID = 2**32 - 2


@dataclass(frozen=True)
class Settings:
    """Where the gate listens, whom it serves, which daemon it stands before, and for which containers."""

    path: Path
    caller: int
    docker: str
    scope: Scope


def keep(environ: Mapping[str, str]) -> None:
    """Serve until a signal ends it; raise StopError where it cannot."""
    chosen = read(environ)
    with listening(chosen.path) as listener:
        line.say("info", "the gate is open", socket=str(chosen.path), caller=chosen.caller)
        Door(chosen.caller, Verbs(Engine(chosen.docker), chosen.scope)).serve(listener)


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings; raise StopError that names the one that is unusable."""
    services = switchboard.services(environ)
    named = frozenset(
        word
        for name in ("RESTORE_STOP_CONTAINERS", "RESTORE_START_CONTAINERS")
        for word in setting.words(name, environ)
    )
    for word in services | named:
        if not scope.NAME.fullmatch(word):
            raise StopError(
                f"RESTORE_STOP_CONTAINERS, RESTORE_START_CONTAINERS or RESTORE_SERVICES: got {word[:80]!r}, wanted "
                "names of services or containers, with commas between: letters and digits, and _ . - after the first"
            )
    return Settings(
        path=place.of(environ),
        caller=setting.number("RESTORE_COORDINATOR_UID", COORDINATOR, 0, LARGEST_ID, environ),
        docker=setting.read("RESTORE_DOCKER_SOCKET", environ) or DOCKER,
        scope=Scope(
            required("RESTORE_PROJECT", scope.PROJECT, environ),
            required("RESTORE_STACK", scope.STACK, environ),
            services=named & services,
            names=named - services,
        ),
    )


def required(name: str, label: str, environ: Mapping[str, str]) -> str:
    """Return a setting without which no container can be told to be ours."""
    found = setting.read(name, environ)
    if not found:
        raise StopError(f"{name}: not set, wanted what the stack's containers have in the label {label}")
    return found
