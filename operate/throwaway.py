"""A container that runs one command and is removed, whatever becomes of it."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Sequence

from setup.daemon import Daemon, DaemonError
from setup.problem import Problem

LABEL = "scaffold.throwaway"
STOP_SECONDS = 30
SILENCE_SECONDS = 90
"""How long a command may say nothing."""


def run(
    client: Daemon, image: str, command: Sequence[str], line: Callable[[str], None], *, online: bool, seconds: int
) -> list[str]:
    """Run the command as root and return its lines, each given to `line` too; raise Problem where it fails."""
    told = {
        "Image": image,
        "Entrypoint": [],
        "Cmd": list(command),
        "User": "0:0",
        "WorkingDir": "/",
        "Tty": True,
        "NetworkDisabled": not online,
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {LABEL: "1"},
    }
    identifier = client.post("/containers/create", told)["Id"]
    said: list[str] = []
    ends = time.monotonic() + seconds
    try:
        client.post(f"/containers/{identifier}/start")
        query = {"stdout": "1", "stderr": "1", "follow": "1"}
        with client.reading(f"/containers/{identifier}/logs", SILENCE_SECONDS, query) as answer:
            for raw in answer:
                words = raw.decode(errors="replace").rstrip()
                said.append(words)
                line(words)
                if time.monotonic() > ends:
                    raise Problem(f"{command[0]} in {image} did not end within {seconds} s.", "run this again later")
        code = int(client.post(f"/containers/{identifier}/wait", timeout=SILENCE_SECONDS)["StatusCode"])
    except (OSError, DaemonError, http.client.HTTPException) as error:
        raise Problem(
            f"{command[0]} in a container of {image} came to nothing: {str(error) or type(error).__name__}\n"
            + "\n".join(said[-5:]),
            "see that the Docker daemon answers (docker info), and run this again",
        ) from error
    finally:
        client.delete(f"/containers/{identifier}", timeout=STOP_SECONDS, force="1", v="1")
    if code != 0:
        raise Problem(
            f"{command[0]} in a container of {image} ended with exit code {code}:\n" + "\n".join(said[-10:]),
            "mend what it says and run this again",
        )
    return said
