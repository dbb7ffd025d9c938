"""The gate's socket: who may open it, and how a connection is answered."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

from backup import line
from backup.error import StopError
from restore import place, tail, wire
from restore.engine import EngineError
from restore.verbs import Verbs
from restore.wire import RefusedError, Request

AT_ONCE = 16
BACKLOG = 32
DESERTED_SECONDS = 60.0
"""How long nobody may listen at the daemon's socket."""
HEALTH = Request("GET", "/health")

Answer = tuple[HTTPStatus, Mapping[str, object]]


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen on a socket that owner and group can open, and nobody else at any moment; one gate at a time."""
    new, lock = path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.lock")
    with contextlib.ExitStack() as held:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.unlink(missing_ok=True)
            listener = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            former = os.umask(0o117)
            try:
                listener.bind(str(new))
            finally:
                os.umask(former)
            listener.listen(BACKLOG)
            # In the place of what a killed gate left, so that there is no moment without one.
            new.rename(path)
        except BlockingIOError:
            raise StopError(f"{path}: another gate serves there. Let one run, or set {place.SETTING}") from None
        except OSError as error:
            raise StopError(
                f"{path}: cannot listen there: {error.strerror or error}. Mount a folder that the gate's user may "
                f"write to, or set {place.SETTING}"
            ) from None
        held.callback(path.unlink, missing_ok=True)
        yield listener


def caller_of(connection: socket.socket) -> int:
    """Return the user of the process at the other end, as the kernel knows it."""
    size = struct.calcsize("iII")
    _pid, user, _group = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(user)


class Door:
    """Answers one user's connections, each in a thread of its own; nothing that goes wrong in one ends it."""

    def __init__(self, caller: int, verbs: Verbs) -> None:
        self.caller = caller
        self.verbs = verbs
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._deserted: float | None = None

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the process ends."""
        while True:
            connection, _ = listener.accept()
            if not self._room.acquire(blocking=False):
                with connection, contextlib.suppress(OSError):
                    crowded = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too much is asked at once", transient=True)
                    wire.send(connection, crowded.status, crowded.told())
                continue
            threading.Thread(target=self._attend, args=(connection,), daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        try:
            # Whoever has gone meanwhile gets no answer; what was begun is finished all the same.
            with connection, contextlib.suppress(OSError):
                wire.send(connection, *self._answer(connection))
        finally:
            self._room.release()

    def _answer(self, connection: socket.socket) -> Answer:
        user = caller_of(connection)
        try:
            return HTTPStatus.OK, self._asked(connection, user)
        except RefusedError as refused:
            line.say("warning", f"refused: {refused.reason}", user=user, status=refused.status.value)
            return refused.status, refused.told()
        except EngineError as error:
            line.say("error", f"Docker: {tail.cleaned(str(error))}", user=user)
            self._look_for_the_daemon(error)
            failed = failure(error)
            return failed.status, failed.told()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            line.say("error", f"the daemon's answer could not be read: {type(error).__name__}", user=user)
            failed = RefusedError(HTTPStatus.BAD_GATEWAY, "the Docker daemon's answer could not be read", "Renew it")
            return failed.status, failed.told()

    def _asked(self, connection: socket.socket, user: int) -> Mapping[str, object]:
        # The gate's own user has the daemon's socket anyway, and asks only whether the gate is well.
        own = user == os.geteuid()
        if user != self.caller and not own:
            raise RefusedError(
                HTTPStatus.FORBIDDEN, f"user {user} may not open the gate", "RESTORE_COORDINATOR_UID says who may"
            )
        request = wire.read(connection)
        if request == HEALTH:
            self.verbs.engine.ping()
            self._deserted = None
            return {"status": "well"}
        if user != self.caller:
            raise RefusedError(HTTPStatus.FORBIDDEN, f"user {user} may ask for nothing but /health")
        return self.verbs.act(request)

    def _look_for_the_daemon(self, error: EngineError) -> None:
        """End the process when nobody listens any more: a daemon with live-restore has come back with another socket.

        The mount still shows the one that was there when this container started; started anew, it shows the other.
        """
        now = time.monotonic()
        self._deserted = (self._deserted or now) if error.deserted else None
        if self._deserted is not None and now - self._deserted > DESERTED_SECONDS:
            line.say("error", f"nobody has listened at the daemon's socket for {DESERTED_SECONDS:.0f} s: the gate ends")
            os.kill(os.getpid(), signal.SIGTERM)


def failure(error: EngineError) -> RefusedError:
    """Return what is told of the daemon's failure: not its words, which can hold commands and paths."""
    if not error.status:
        return RefusedError(
            HTTPStatus.BAD_GATEWAY,
            "the Docker daemon does not answer",
            "Start it, or wait until it has restarted",
            transient=True,
        )
    return RefusedError(
        HTTPStatus.BAD_GATEWAY,
        f"the Docker daemon refused with status {error.status}",
        "The gate's own log has its words",
        transient=error.status >= HTTPStatus.INTERNAL_SERVER_ERROR,
    )
