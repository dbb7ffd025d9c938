"""What the gate does: looks, stops, starts, and runs a release's migrations.

What is asked is matched whole and never passed on: a name picks a container out of the daemon's own list, and what is
done is done to that container's id.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus

from backup import line
from restore import scope, switchboard, tail
from restore.engine import Container, Engine, EngineError
from restore.scope import Scope
from restore.wire import RefusedError, Request

POLL_SECONDS = 0.2
SETTLE_SECONDS = 15.0
"""How long a container that has been told may take to be seen stopped or running."""
AWAY_SECONDS = 60.0
"""How long a daemon may be away in the middle of a migration: it is restarted too."""
STOP_MIGRATION_SECONDS = 10

LOOK = Request("GET", "/containers")
STOP = re.compile(rf"/containers/(?P<name>{scope.NAME.pattern})/stop\?timeout=(?P<seconds>[0-9]{{1,4}})")
START = re.compile(rf"/containers/(?P<name>{scope.NAME.pattern})/start")
MIGRATE = re.compile(r"/migrations/(?P<release>[a-z0-9]{1,64})/run\?timeout=(?P<seconds>[0-9]{1,5})")


class Verbs:
    """The four verbs on one daemon, for one scope; one thing is done to a container at a time."""

    def __init__(self, engine: Engine, allowed: Scope) -> None:
        self.engine = engine
        self.scope = allowed
        self._turn = threading.Condition()
        self._busy: set[str] = set()

    def act(self, request: Request) -> Mapping[str, object]:
        """Do what is asked; raise RefusedError or EngineError."""
        if request == LOOK:
            return {"containers": self.look()}
        if request.method == "POST":
            if found := STOP.fullmatch(request.target):
                return self.scope.shown(self.stop(found["name"], int(found["seconds"])))
            if found := START.fullmatch(request.target):
                return self.scope.shown(self.start(found["name"]))
            if found := MIGRATE.fullmatch(request.target):
                return self.migrate(found["release"], int(found["seconds"]))
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "the gate has no such verb")

    def look(self) -> list[dict[str, object]]:
        """Return what may be seen of the stack's containers and of those in the settings."""
        seen = [each for each in self.engine.containers() if self.scope.seen(each)]
        return [self.scope.shown(each) for each in sorted(seen, key=lambda each: each.name)]

    def stop(self, name: str, seconds: int) -> Container:
        """Stop a container and return it once it is seen stopped."""
        began = time.monotonic()
        found = self._switched(name)
        with self._alone(found, seconds + SETTLE_SECONDS):
            with gone_is_stopped():
                self.engine.stop(found.identity, seconds)
            after = self._settled(found, runs=False)
        line.say("info", "stopped", container=name, state=after.state, seconds=round(time.monotonic() - began, 1))
        return after

    def start(self, name: str) -> Container:
        """Start a container and return it once it is seen running, or seen to have ended again."""
        found = self._switched(name)
        with self._alone(found, SETTLE_SECONDS):
            self.engine.start(found.identity)
            after = self._settled(found, runs=True)
        line.say("info", "started", container=name, state=after.state)
        return after

    def migrate(self, release: str, seconds: int) -> Mapping[str, object]:
        """Run a release's migrations to their end, and return how they ended with their last lines."""
        found = next((each for each in self.engine.containers() if self.scope.migrates(each, release)), None)
        if found is None:
            raise RefusedError(
                HTTPStatus.NOT_FOUND, f"no container has the migrations of release {release}", "`make up` makes it"
            )
        deadline = time.monotonic() + seconds
        with self._alone(found, seconds):
            # A run that somebody began before, on who knows which database, says nothing about this one.
            self._ended(found, deadline)
            # Taken here, on the daemon's own machine: what a container says first is older than its start as recorded.
            began = time.time()
            self.engine.start(found.identity)
            after = self._ended(found, deadline)
            lines = tail.of_container(self.engine.log(found.identity, began, tail.PIECES))
        line.say("info", "migrations ran", release=release, status=after.status)
        return {**self.scope.shown(after), "status": after.status, "lines": lines}

    def _switched(self, name: str) -> Container:
        """Return the container that has the name now and may be stopped and started."""
        found = scope.named(self.engine.containers(), name)
        # Of what is not the caller's business it is not even told whether it is there.
        if found is None or not self.scope.seen(found):
            raise RefusedError(HTTPStatus.NOT_FOUND, f"no container of this stack is called {name}")
        if not self.scope.switched(found):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                f"{name} is in the settings neither by its service nor by its name",
                "Name it in RESTORE_STOP_CONTAINERS or RESTORE_START_CONTAINERS, and start the gate anew",
            )
        return found

    @contextlib.contextmanager
    def _alone(self, container: Container, seconds: float) -> Iterator[None]:
        """Wait for the turn: a stop that goes on after its caller has gone must not end what is started next."""
        with self._turn:
            if not self._turn.wait_for(lambda: container.identity not in self._busy, seconds):
                raise RefusedError(
                    HTTPStatus.CONFLICT,
                    f"{container.name} is being stopped or started by another request",
                    "Wait for that",
                    transient=True,
                )
            self._busy.add(container.identity)
        try:
            yield
        finally:
            with self._turn:
                self._busy.discard(container.identity)
                self._turn.notify_all()

    def _settled(self, container: Container, *, runs: bool) -> Container:
        """Return a container once it does or does not run; raise RefusedError when that stays otherwise."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            after = self.engine.look(container.identity)
            if after is None:
                return replace(container, state=switchboard.ABSENT, health="")
            # What has been started and has ended again by now will not be seen running.
            if after.runs is runs or (runs and after.state != "created"):
                return after
            if time.monotonic() > deadline:
                raise RefusedError(
                    HTTPStatus.GATEWAY_TIMEOUT,
                    f"{container.name} is {after.state} still",
                    f"Look at it, and at dockerd's log: docker inspect {container.name}",
                )
            time.sleep(POLL_SECONDS)

    def _ended(self, container: Container, deadline: float) -> Container:
        """Return a container once it does not run; when its time is up it is stopped, and RefusedError raised."""
        away: float | None = None
        while True:
            try:
                after = self.engine.look(container.identity)
            except EngineError as error:
                now = time.monotonic()
                away = away or now
                if error.status or now - away > AWAY_SECONDS:
                    raise
                time.sleep(POLL_SECONDS)
                continue
            away = None
            if after is None:
                raise RefusedError(
                    HTTPStatus.NOT_FOUND, f"{container.name} has been removed meanwhile", "`make up` makes it anew"
                )
            if not after.runs:
                return after
            if time.monotonic() > deadline:
                self.engine.stop(container.identity, STOP_MIGRATION_SECONDS)
                raise RefusedError(
                    HTTPStatus.GATEWAY_TIMEOUT,
                    f"{container.name} was not done in time and has been stopped",
                    f"Its log says how far it came: docker logs {container.name}",
                )
            time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def gone_is_stopped() -> Iterator[None]:
    """Take a container that has been removed for one that has stopped."""
    try:
        yield
    except EngineError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
