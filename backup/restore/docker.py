"""The switchboard on Docker: asks the gate, and waits for it, or for the daemon behind it, while they are away."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from restore import switchboard
from restore.engine import RUNNING, Connection
from restore.switchboard import Ended, SwitchboardError, Unit

SERVICE = "scaffold.service"
ANSWER_BYTES = 4 << 20
LOOK_SECONDS = 25.0
SPARE_SECONDS = 60.0
"""What a call may take beyond its timeout: to reach the gate, which waits for the daemon, which may restart."""
AGAIN_SECONDS = 0.5
STATE = re.compile(r"(?P<state>[a-z]{1,20})(?: \((?P<health>[a-z]{1,20})\))?")
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")


class DockerSwitchboard:
    """Containers, by the gate at a socket; names that are a service's mean whatever runs of it."""

    def __init__(self, path: str, services: frozenset[str], spare_seconds: float = SPARE_SECONDS) -> None:
        self.path = path
        self.services = services
        self.spare_seconds = spare_seconds

    def resolve(self, names: Sequence[str]) -> list[Unit]:
        """Return the containers of services, those with the names, and an absent unit for a name that nothing has."""
        seen = self._seen()
        found: dict[str, Unit] = {}
        for name in names:
            units = [unit for unit, service in seen if (service if name in self.services else unit.name) == name]
            found |= {unit.name: unit for unit in units or [Unit(name, switchboard.ABSENT)]}
        return list(found.values())

    def state(self, unit: Unit) -> Unit:
        """Return what a container is now."""
        return next((now for now, _ in self._seen() if now.name == unit.name), Unit(unit.name, switchboard.ABSENT))

    def stop(self, unit: Unit, timeout: float) -> None:
        """Stop a container; when it has not ended after the timeout, it is killed."""
        if unit.state == switchboard.ABSENT:
            return
        seconds = min(9999, max(0, math.ceil(timeout)))
        answer = self._patiently("POST", f"/containers/{checked(unit.name)}/stop?timeout={seconds}", timeout)
        after = unit_of(answer) if answer else Unit(unit.name, switchboard.ABSENT)
        if after.state == switchboard.RUNNING:
            raise SwitchboardError(f"{unit.name} runs still", f"Look at it: docker logs {unit.name}", transient=True)

    def start(self, unit: Unit, timeout: float) -> None:
        """Start a container."""
        answer = self._patiently("POST", f"/containers/{checked(unit.name)}/start", timeout)
        if answer is None:
            raise SwitchboardError(
                f"{unit.name} does not exist", "`make up` makes the stack's containers anew", transient=False
            )
        after = unit_of(answer)
        if after.state != switchboard.RUNNING:
            raise SwitchboardError(
                f"{unit.name} was started and ended at once",
                f"Its log says why: docker logs {unit.name}",
                transient=False,
            )

    def run_migration(self, release: str, timeout: float) -> Ended:
        """Run a release's migrate container to its end."""
        seconds = min(99_999, max(1, math.ceil(timeout)))
        answer = self._patiently("POST", f"/migrations/{checked(release)}/run?timeout={seconds}", timeout)
        if answer is None:
            raise SwitchboardError(
                f"there is no container with the migrations of release {release}", "`make up` makes it", transient=False
            )
        return Ended(int(answer["status"]), tuple(str(each) for each in answer["lines"]))

    def _seen(self) -> list[tuple[Unit, str]]:
        """Return what the gate shows: each container, and of which service of the stack it is."""
        answer = self._patiently("GET", "/containers", 0.0) or {"containers": []}
        return [(unit_of(each), str(each["labels"].get(SERVICE, ""))) for each in answer["containers"]]

    def _patiently(self, method: str, target: str, timeout: float) -> dict[str, Any] | None:
        """Return the gate's answer, None where there is no such container; ask again for as long as that may help."""
        deadline = time.monotonic() + timeout + self.spare_seconds
        while True:
            try:
                return self._ask(method, target, timeout + LOOK_SECONDS + self.spare_seconds / 2)
            except SwitchboardError as error:
                if not error.transient or time.monotonic() + AGAIN_SECONDS > deadline:
                    raise
            time.sleep(AGAIN_SECONDS)

    def _ask(self, method: str, target: str, seconds: float) -> dict[str, Any] | None:
        connection = Connection(self.path, seconds)
        try:
            # Whom the gate does not serve it answers before it has heard anything, and that answer is worth reading.
            with contextlib.suppress(BrokenPipeError):
                connection.request(method, target)
            answer = connection.getresponse()
            body: Any = json.loads(answer.read(ANSWER_BYTES))
        except TimeoutError:
            raise SwitchboardError(
                f"the gate did not answer within {seconds:.0f} s", "Look at its log, and at dockerd's", transient=False
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise SwitchboardError(
                f"the gate at {self.path} cannot be reached: {why}", "Start it: `make up`", transient=True
            ) from None
        finally:
            connection.close()
        if answer.status == http.client.OK:
            return dict(body)
        if answer.status == http.client.NOT_FOUND:
            return None
        raise refused(body)


def refused(body: Mapping[str, Any]) -> SwitchboardError:
    """Return the error that the gate's refusal means."""
    hint = str(body.get("hint") or "The gate's log says more")
    return SwitchboardError(str(body.get("reason")), hint, transient=body.get("transient") is True)


def unit_of(answer: Mapping[str, Any]) -> Unit:
    """Return a container as a unit."""
    found = STATE.fullmatch(str(answer["state"]))
    word, health = (found["state"], found["health"] or "") if found else (str(answer["state"]), "")
    name = str(answer["name"])
    if word == switchboard.ABSENT:
        return Unit(name, switchboard.ABSENT)
    if word not in RUNNING:
        return Unit(name, switchboard.STOPPED, word)
    # What restarts or is paused has processes, and answers nobody.
    detail = (health or switchboard.HEALTHY) if word == "running" else switchboard.UNHEALTHY
    return Unit(name, switchboard.RUNNING, detail, replicas=1)


def checked(name: str) -> str:
    """Return a name that can stand in the gate's addresses; raise SwitchboardError for any other."""
    if not NAME.fullmatch(name):
        raise SwitchboardError(f"{name[:80]!r} is no name of a container", "Correct the setting", transient=False)
    return name
