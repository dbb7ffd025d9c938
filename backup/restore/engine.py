"""The Docker daemon, over its socket: the few calls that the gate makes, each with a limit of time."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

SECONDS = 20.0
"""How long the daemon may take beyond what it was asked to wait."""
LIST_BYTES = 64 << 20
ANSWER_BYTES = 1 << 20
LOG_BYTES = 4 << 20
HEALTH = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)$")

RUNNING = frozenset({"running", "paused", "restarting"})
"""States in which a container has processes, or soon may have."""


class EngineError(Exception):
    """The daemon refused with this status, or with 0 did not answer; its words may hold more than others should see."""

    def __init__(self, status: int, words: str, *, deserted: bool = False) -> None:
        super().__init__(f"status {status}: {words}" if status else words)
        self.status = status
        self.deserted = deserted
        """Whether the socket is there, and nobody listens."""


@dataclass(frozen=True)
class Container:
    """What the gate keeps of all that the daemon tells about a container."""

    identity: str
    name: str
    labels: Mapping[str, str]
    state: str
    health: str = ""
    status: int = 0

    @property
    def runs(self) -> bool:
        """Whether it has processes, or is about to."""
        return self.state in RUNNING


class Connection(http.client.HTTPConnection):
    """A connection to a socket of this machine."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self.path = path

    def connect(self) -> None:
        """Make it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """One daemon. No version of its API is named: what is used of it is the same in all of them."""

    def __init__(self, path: str) -> None:
        self.path = path

    def ping(self) -> None:
        """Return when it answers; raise EngineError."""
        self._ask("GET", "/_ping", 2.0)

    def containers(self) -> list[Container]:
        """Return every container of the machine; raise EngineError."""
        found = json.loads(self._ask("GET", "/containers/json?all=1", SECONDS, LIST_BYTES))
        return [listed(each) for each in found]

    def look(self, identity: str) -> Container | None:
        """Return a container, None where there is none; raise EngineError."""
        try:
            return inspected(json.loads(self._ask("GET", f"/containers/{quote(identity, safe='')}/json", SECONDS)))
        except EngineError as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise

    def stop(self, identity: str, seconds: int) -> None:
        """Stop a container, by force when it has not ended in time; raise EngineError."""
        self._ask("POST", f"/containers/{quote(identity, safe='')}/stop?t={seconds}", seconds + SECONDS)

    def start(self, identity: str) -> None:
        """Start a container; raise EngineError."""
        self._ask("POST", f"/containers/{quote(identity, safe='')}/start", 2 * SECONDS)

    def log(self, identity: str, since: float, pieces: int) -> bytes:
        """Return the last pieces of a container's log since a moment, as the daemon frames them; raise EngineError."""
        query = f"stdout=1&stderr=1&tail={pieces}&since={since:.6f}"
        return self._ask("GET", f"/containers/{quote(identity, safe='')}/logs?{query}", SECONDS, LOG_BYTES)

    def _ask(self, method: str, path: str, seconds: float, most: int = ANSWER_BYTES) -> bytes:
        connection = Connection(self.path, seconds)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read(most)
        except TimeoutError:
            raise EngineError(0, f"the Docker daemon did not answer within {seconds:.0f} s") from None
        except (OSError, http.client.HTTPException) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise EngineError(
                0,
                f"the Docker daemon cannot be reached at {self.path}: {why}",
                deserted=isinstance(error, ConnectionRefusedError),
            ) from None
        finally:
            connection.close()
        # 304: it is so already.
        if answer.status >= http.client.BAD_REQUEST:
            raise EngineError(answer.status, message(body))
        return body


def message(body: bytes) -> str:
    """Return the daemon's words for why it refused."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


def listed(found: Mapping[str, Any]) -> Container:
    """Return a container as the list tells of it."""
    # A link gives a container further names, below the other's.
    names = [name[1:] for name in found.get("Names") or () if name.count("/") == 1]
    health = HEALTH.search(str(found.get("Status", "")))
    return Container(
        identity=str(found["Id"]),
        name=names[0] if names else "",
        labels=found.get("Labels") or {},
        state=str(found["State"]),
        health=health[1] if health else "",
    )


def inspected(found: Mapping[str, Any]) -> Container:
    """Return a container as it is told of by itself."""
    state = found["State"]
    health = str((state.get("Health") or {}).get("Status", ""))
    return Container(
        identity=str(found["Id"]),
        name=str(found["Name"]).removeprefix("/"),
        labels=found["Config"].get("Labels") or {},
        state=str(state["Status"]),
        health="" if health == "none" or state["Status"] != "running" else health,
        status=int(state["ExitCode"]),
    )
