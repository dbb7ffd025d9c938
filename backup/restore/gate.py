"""`gate`: stands in front of the Docker daemon and lets through four verbs, for this stack and for one caller."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backup import line, setting
from backup.error import StopError
from restore import scope, switchboard
from restore.door import Door, listening
from restore.engine import Engine
from restore.scope import Scope
from restore.verbs import Verbs

SOCKET = "/run/restore-gate/gate.sock"
DOCKER = "/var/run/docker.sock"
COORDINATOR = 10005
LARGEST_ID = 2**32 - 2
CHECK_SECONDS = 4.0


@dataclass(frozen=True)
class Settings:
    """Where the gate listens, whom it serves, which daemon it stands before, and for which containers."""

    path: Path
    caller: int
    docker: str
    scope: Scope


def main(arguments: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> int:
    """Serve until a signal ends it, or with `check` tell whether the gate and the daemon behind it answer."""
    if list(arguments) not in ([], ["check"]):
        line.say("error", f"gate: got {' '.join(arguments)!r}, wanted nothing or check")
        return 2
    try:
        if arguments:
            check(place(environ))
            return 0
        chosen = read(environ)
        with listening(chosen.path) as listener:
            line.say("info", "the gate is open", socket=str(chosen.path), caller=chosen.caller)
            Door(chosen.caller, Verbs(Engine(chosen.docker), chosen.scope)).serve(listener)
    except StopError as error:
        line.say("error", str(error))
    return 1


def place(environ: Mapping[str, str]) -> Path:
    """Return where the gate's socket is."""
    return Path(setting.read(switchboard.SOCKET, environ) or SOCKET)


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
        path=place(environ),
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


def check(path: Path) -> None:
    """Raise StopError unless a running gate, and the daemon behind it, are well; its own user may ask."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as asking:
        asking.settimeout(CHECK_SECONDS)
        try:
            asking.connect(str(path))
            asking.sendall(b"GET /health HTTP/1.1\r\n\r\n")
            answer = asking.recv(4096)
        except OSError as error:
            raise StopError(f"{path}: the gate does not answer: {error.strerror or error}. Look at its log") from None
    if not answer.startswith(b"HTTP/1.1 200 "):
        said = answer.partition(b"\r\n")[0][:80].decode("ascii", "replace")
        raise StopError(f"{path}: the gate answers {said!r}, wanted 200: is the Docker daemon there? Look at its log")
