"""Opening a recovery kit where nothing is installed: by age in the backup image, in a container without a network."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

from operate.docker import inside
from operate.kit import OTHER_KIT
from operate.throwaway import LABEL
from setup.daemon import Daemon, DaemonError
from setup.problem import Problem

BUILD_SILENCE_SECONDS = 600
OPEN_SECONDS = 300
STOP_SECONDS = 30
USER = "10004:10004"
Line = Callable[[str], None]


def image(client: Daemon, context: Mapping[str, Path], arguments: Mapping[str, str], line: Line) -> str:
    """Build the backup image as the stack does, which makes that one quick, and return its id; raise Problem."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        for inner, path in context.items():
            made.add(path, inner)
    packed.seek(0)
    query = {"dockerfile": "Dockerfile", "rm": "1", "buildargs": json.dumps(dict(arguments))}
    said: list[str] = []
    identifier = ""
    try:
        for told in client.stream("/build", body=packed, timeout=BUILD_SILENCE_SECONDS, **query):
            identifier = str((told.get("aux") or {}).get("ID", "")) or identifier
            words = str(told.get("stream", "")).strip()
            if words:
                said.append(words)
                line(f"building the image that has age: {words[:60]}")
    except (OSError, DaemonError) as error:
        last = "\n".join(said[-5:])
        raise Problem(
            f"The image that opens the kit could not be built: {error}\n{last}", "mend what it says and run this again"
        ) from error
    return identifier


def opened(client: Daemon, image: str, sealed: bytes, key: bytes) -> bytes:
    """Return what is in a kit; neither that nor the key is ever on a disk. Raise Problem where the key is another."""
    told = {
        "Image": image,
        "Entrypoint": [],
        "Cmd": ["sleep", str(OPEN_SECONDS)],
        "User": USER,
        "WorkingDir": "/",
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {LABEL: "1"},
        "HostConfig": {
            "Init": True,
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "Tmpfs": {"/tmp": "rw,noexec,nosuid,nodev,size=512m,mode=1777"},  # noqa: S108
        },
    }
    identifier = client.post("/containers/create", told)["Id"]
    try:
        client.post(f"/containers/{identifier}/start")
        command = ("env", "LOG_FORMAT=text", "python", "-m", "backup", "open")
        given = f"{len(key)}\n".encode() + key + sealed
        answer = inside.talk(client, identifier, command, given, OPEN_SECONDS)
    except OSError as error:
        raise Problem(
            f"The kit could not be opened: {error or type(error).__name__}.",
            "see that the Docker daemon answers (docker info), and run this again",
        ) from error
    finally:
        client.delete(f"/containers/{identifier}", timeout=STOP_SECONDS, force="1", v="1")
    if answer.code != 0:
        raise Problem(f"The kit could not be opened: {answer.errors}", OTHER_KIT)
    return answer.output
