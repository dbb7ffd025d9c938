"""The server that recovers a restored cluster: by itself, reached by nobody, archiving nothing."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path

from server import access, cluster, line, settings, volume
from server.child import Child, reap
from server.error import StopError

SOCKETS = Path("/tmp/recovery")  # noqa: S108 - the container's own
LISTENING = "database system is ready to accept connections"
REACHED = ("recovery stopping", "archive recovery complete", "last completed transaction")
NOT_REACHED = "recovery ended before configured recovery target was reached"
LAST_COMMIT = "last completed transaction was at log time"
SEGMENT = "restored log file "
TELL_SECONDS = 10.0
STALL_SECONDS = 3600.0
STOP_SECONDS = 600.0
LAST_WORDS = 20


class Server:
    """One server on a data directory, whose superuser answers on a socket in a private folder."""

    def __init__(self, data: Path, sizing: settings.Sizing, last: str) -> None:
        """Start it; `listen` waits for it. The last segment that is there for it is one of that name."""
        SOCKETS.mkdir(mode=0o700, exist_ok=True)
        volume.write(data / "postgresql.conf", settings.render(configuration(data, sizing)))
        volume.write(data / "pg_hba.conf", f"local all {access.SUPERUSER} peer\nlocal all all trust\n")
        self.words: list[str] = []
        self.told: list[str] = []
        self.segments: list[str] = []
        self.last_there = last
        self.status: int | None = None
        command = [str(cluster.BINARIES / "postgres"), "-D", str(data)]
        self.child = Child(command, {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}, self.hear)

    def hear(self, text: str) -> None:
        """Take a line that the server says."""
        self.words.append(text)
        if SEGMENT in text:
            self.segments.append(text.partition(SEGMENT)[2].split('"')[1])
        elif any(mark in text for mark in REACHED):
            said = text.partition("LOG:")[2].strip() or text
            self.told.append(said)
            line.say("info", said)

    def listen(self) -> None:
        """Wait until it has recovered and accepts connections; raise StopError with its words when it ends instead."""
        heard = told = time.monotonic()
        while not any(LISTENING in text for text in self.words[-5:]):
            before = len(self.words)
            self.serve(1.0)
            now = time.monotonic()
            heard = now if len(self.words) > before else heard
            if self.status is not None:
                raise self.failure()
            if now - heard > STALL_SECONDS:
                raise StopError(
                    f"the recovery has said nothing for {STALL_SECONDS:.0f} s; its last words: {self.last()}"
                )
            if now - told > TELL_SECONDS:
                told = now
                line.say("info", "recovering", segments=len(self.segments))

    def serve(self, seconds: float) -> None:
        """Read what it says for at most some seconds, and see whether it has ended."""
        output = self.child.output
        if output.open and select.select([output.descriptor], [], [], seconds)[0]:
            output.read()
        elif not output.open:
            time.sleep(min(seconds, 0.1))
        ended, _ = reap(self.child)
        if ended is not None:
            while output.open and select.select([output.descriptor], [], [], 0.2)[0]:
                output.read()
            self.status = ended

    def failure(self) -> StopError:
        """Return why it ended."""
        if any(NOT_REACHED in text for text in self.words):
            self.refuse_a_break()
            last = [text.partition(LAST_COMMIT)[2].strip() for text in self.words if LAST_COMMIT in text]
            return StopError(
                "nothing that was committed after that moment is archived, so that it cannot be told from the end of "
                f"the archive; the last commit on the way there is of {last[-1] if last else 'before the backup'}. "
                "Choose a moment before it, or the end of the archive: make restore-pit TO=latest"
            )
        return StopError(f"the recovery ended with status {self.status}; its last words: {self.last()}")

    def refuse_a_break(self) -> None:
        """Raise StopError when it did not read all that is there: to the server, what cannot be read is the end."""
        if self.last_there in self.segments:
            return
        said = [text for text in self.words if "ERROR" in text][-1:]
        raise StopError(
            f"the archive holds segments up to {self.last_there}, but the recovery came to "
            f"{self.segments[-1] if self.segments else 'none'}: the next one cannot be read. {' '.join(said)}"
        )

    def last(self) -> str:
        """Return its last words."""
        return " | ".join(self.words[-LAST_WORDS:])

    def stop(self) -> None:
        """Stop it cleanly; raise StopError when it does not end so."""
        self.child.signal(signal.SIGINT)
        deadline = time.monotonic() + STOP_SECONDS
        while self.status is None and time.monotonic() < deadline:
            self.serve(0.5)
        if self.status is None:
            self.child.signal(signal.SIGKILL)
        if self.status != 0:
            raise StopError(f"the recovered server did not stop cleanly; its last words: {self.last()}")

    def kill(self) -> None:
        """End it where it still runs."""
        if self.status is None:
            self.child.signal(signal.SIGKILL)


def configuration(data: Path, sizing: settings.Sizing) -> dict[str, str]:
    """Return the settings of a server that nobody reaches and that changes nothing outside its own volume."""
    usual = settings.decide(sizing, data=str(data), log=str(data), sockets=str(SOCKETS))
    return usual | {
        "listen_addresses": "",
        "archive_mode": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        # Connections before the end would want settings as large as those of the server that was backed up.
        "hot_standby": "off",
        "recovery_target_action": "promote",
        "autovacuum": "off",
    }
