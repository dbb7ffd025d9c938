"""`run`: PID 1 of the database container."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from server import access, archiving, bucket, cluster, jsonlog, memory, setting, settings, volume
from server.archiving import Archiving
from server.bucket import Bucket
from server.child import STOPPING, Child, Escalation, Signals, reap, supervise
from server.companion import Companion
from server.error import StopError
from server.follower import Follower
from server.printer import Printer
from server.room import Room

CLAIM_SECONDS = 30.0
STOP_SECONDS = 9.0  # Docker kills after 10
LAST_WORDS_SECONDS = 2.0


class Stopped(Exception):  # noqa: N818 - it is an order that was followed, not an error
    """A stop was asked for before the server ran."""


def main() -> int:
    """Run the server and return its exit status; 1 when it cannot be started."""
    signals = Signals()
    printer = Printer()
    try:
        return serve(signals, printer)
    except Stopped:
        printer.say("info", "stopped before the server ran")
        return 0
    except StopError as error:
        printer.say("error", str(error))
        return 1
    except OSError as error:
        printer.say("error", f"{error.filename or volume.ROOT}: {error.strerror}. Look at the volume's space and owner")
        return 1
    finally:
        printer.close(LAST_WORDS_SECONDS)


def serve(signals: Signals, printer: Printer) -> int:
    """Prepare the volume, run the server to its end, and return its exit status."""
    began = time.monotonic()
    limit = memory.limit(os.environ)
    plan = archiving.read(os.environ)
    where = bucket.find(os.environ) if plan else None
    sizing = settings.size(memory.left(limit, archiving.MEMORY_MB if plan else 0))
    stop_seconds = setting.seconds("STOP_TIMEOUT", STOP_SECONDS, os.environ)
    lock = claim(signals, printer)
    if plan:
        archiving.configure(plan, volume.DATA, where)
    if not cluster.inspect(volume.DATA):
        refuse_to_begin_anew(plan, where, signals)
        make_cluster(signals, printer)
    if volume.narrow(volume.DATA):
        printer.say("warning", "the data directory was open to its group and is closed again", path=str(volume.DATA))
    configure(sizing, plan, where)
    for path in volume.clear_stale(volume.DATA, volume.SOCKETS):
        printer.say("warning", "removed what a killed server left", path=path)
    os.set_inheritable(lock, True)
    printer.say(
        "info",
        "starting the server",
        memory_mb=limit.megabytes,
        memory_from=limit.source,
        prepared_seconds=round(time.monotonic() - began, 3),
        **sizing._asdict(),
    )
    follower = Follower(volume.LOG, volume.DATA / "current_logfiles")
    printer.follow(follower)

    room = Room(volume.DATA)

    def tick() -> None:
        room.tick()
        if companion:
            if escalation.taken:
                companion.stop()
            if companion.tick():
                printer.say("error", "the archivist has ended and is started again", pause_seconds=companion.pause)
        lost = follower.give_up_excess()
        if lost:
            printer.say("warning", "log records were lost: nobody reads this container's output", bytes=lost)
        # As pg_ctl logrotate does it; a server that is still starting would be killed by the signal.
        if follower.overgrown() and cluster.is_ready(volume.DATA, server.pid):
            (volume.DATA / "logrotate").touch()
            server.signal(signal.SIGUSR1)

    server = Child(server_command(), server_environment(), lambda text: printer.hand(jsonlog.early(text)))
    companion = Companion(os.environ, (lock,)) if plan else None
    escalation = Escalation([(signal.SIGINT, stop_seconds), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)])
    status = supervise(server, signals, escalation, tick)
    if companion:
        companion.stop()
    await_others(server, signals)
    level = "info" if status == 0 else "error"
    printer.say(level, "the server has ended", status=status)
    return status


def claim(signals: Signals, printer: Printer) -> int:
    """Take the volume's lock, waiting for a container that is about to end; raise StopError when it does not end."""
    deadline = time.monotonic() + CLAIM_SECONDS
    told = False
    while (lock := volume.claim(volume.ROOT)) is None:
        if not told:
            printer.say("info", "waiting for another container to let go of the volume", path=str(volume.ROOT))
            told = True
        if time.monotonic() > deadline:
            raise StopError(
                f"{volume.ROOT}: another container has used this volume for {CLAIM_SECONDS:.0f} s. "
                f"Only one server may: stop the other one, or give this one a volume of its own"
            )
        if any(number in STOPPING for number in signals.wait(0.1)):
            raise Stopped
    return lock


def make_cluster(signals: Signals, printer: Printer) -> None:
    """Make a cluster in an empty volume; an interrupted attempt is removed first."""
    if cluster.sweep(volume.DATA):
        printer.say("warning", "removed a cluster whose making was interrupted", path=str(cluster.partial(volume.DATA)))
    printer.say("info", "the volume is empty: making a new cluster", path=str(volume.DATA))
    command = cluster.initdb(volume.DATA)
    child = Child(command, os.environ, lambda text: printer.hand(jsonlog.early(text)))
    escalation = Escalation([(signal.SIGKILL, 5.0)])
    status = supervise(child, signals, escalation, lambda: None)
    if escalation.taken:
        raise Stopped
    if status != 0:
        raise StopError(
            f"initdb ended with status {status}; its own words are above. Look at the volume's space and owner"
        )
    cluster.adopt(volume.DATA, cluster.partial(volume.DATA))


def refuse_to_begin_anew(plan: Archiving | None, where: Bucket | None, signals: Signals) -> None:
    """Raise StopError where an empty volume is one that was to be restored, or whose cluster the archive still has."""
    if setting.read("NEW_CLUSTER", os.environ) == "refused":
        raise StopError(
            f"{volume.ROOT}: the volume is empty, wanted one that a restore has filled: databaseVolume names it. "
            "Name the one that was used before, or restore into a new one: make restore-pit TO=latest"
        )
    if plan and (bucket_holds_backups(where, signals) if where else archiving.holds_backups()):
        anew = "pulumi config set pitrS3Prefix ANOTHER" if where else "pulumi config set pitr false"
        raise StopError(
            f"{volume.ROOT}: the volume is empty, but {archiving.place(where)} holds backups of the cluster that was "
            f"here. That one comes back with: make restore-pit TO=latest. To begin with an empty database all the "
            f"same: {anew}"
        )


def bucket_holds_backups(where: Bucket, signals: Signals) -> bool:
    """Return whether the bucket holds backups; raise StopError where it does not say, since nobody knows then."""
    said: list[str] = []
    command = archiving.command("repo-ls", archiving.BACKUPS, archiving.IN_A_HURRY)
    child = Child(command, archiving.keep_out(os.environ), said.append)
    escalation = Escalation([(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])
    status = supervise(child, signals, escalation, lambda: None)
    if escalation.taken:
        raise Stopped
    if status != 0:
        # Not before: this process stays for months.
        from server import pgbackrest

        why = pgbackrest.explained("\n".join(said))
        raise StopError(
            f"{volume.ROOT}: the volume is empty, and whether {where.uri} holds backups of a cluster that was here "
            f"cannot be told: {why}. Look at pitrS3Bucket and what belongs to it, and at the bucket"
        )
    return "backup.info" in said


def configure(sizing: settings.Sizing, plan: Archiving | None, where: Bucket | None) -> None:
    """Write the server's configuration."""
    volume.LOG.mkdir(mode=0o700, exist_ok=True)
    values = settings.decide(sizing, data=str(volume.DATA), log=str(volume.LOG), sockets=str(volume.SOCKETS))
    if plan:
        archiving.SPOOL.mkdir(mode=0o700, exist_ok=True)
        values |= archiving.server_settings(plan, where)
    volume.write(volume.DATA / "postgresql.conf", settings.render(values))
    volume.write(volume.DATA / "pg_hba.conf", access.render())


def server_command() -> list[str]:
    """Return the command that runs the server in the foreground."""
    return [str(cluster.BINARIES / "postgres"), "-D", str(volume.DATA)]


def server_environment() -> dict[str, str]:
    """Return the server's environment: out of memory, a session goes before the server that all of them share."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "LANG": "C.UTF-8",
        "PG_OOM_ADJUST_FILE": "/proc/self/oom_score_adj",
        "PG_OOM_ADJUST_VALUE": "500",
    }


def await_others(server: Child, signals: Signals) -> None:
    """Wait a little for the processes that outlive the server: after a kill its sessions, always its log collector."""
    deadline = time.monotonic() + LAST_WORDS_SECONDS
    with contextlib.suppress(ChildProcessError):
        while reap(server)[1] and time.monotonic() < deadline:
            signals.wait(0.05)
