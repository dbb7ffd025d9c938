"""The cluster in the data volume: whether there is one, whether this server may use it, and how one is made."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

from server import volume
from server.access import SUPERUSER
from server.error import StopError

MAJOR = "17"
BINARIES = Path("/usr/lib/postgresql") / MAJOR / "bin"
STATUS_LINE = 7  # of postmaster.pid, counted from 0


def partial(data: Path) -> Path:
    """Return where a cluster is made before it gets its name: what is found there was interrupted."""
    return data.with_name(data.name + ".partial")


def usable(data: Path, names: AbstractSet[str], version: str | None) -> bool:
    """Return whether a data directory with these entries holds a cluster of this major; False when it is empty.

    Raise StopError for a cluster of another major, and for files that are no cluster.
    """
    if version is not None and version != MAJOR:
        raise StopError(
            f"{data}: this cluster was made by PostgreSQL {version}, and this image has PostgreSQL {MAJOR}, which "
            f"cannot read it. It was left as it is. Way out: start an image with PostgreSQL {version} on this volume, "
            f"make a backup there, then restore it into an empty volume with this image"
        )
    if version is None and names:
        raise StopError(
            f"{data}: found {', '.join(sorted(names)[:3])} but no PG_VERSION, so this is no cluster, and it is not "
            f"empty either. It was left as it is. Way out: move it away, or mount the volume that belongs here"
        )
    return version is not None


def inspect(data: Path) -> bool:
    """Return whether a usable cluster is in the data directory; raise StopError as `usable` does."""
    if data.is_mount():
        raise StopError(
            f"{data}: a volume is mounted here, wanted on {data.parent}: a new cluster is made beside its place and "
            f"renamed into it when complete. Mount the volume on {data.parent}"
        )
    try:
        names = {path.name for path in data.iterdir()}
    except FileNotFoundError:
        names = set()
    version = (data / "PG_VERSION").read_text(encoding="ascii").strip() if "PG_VERSION" in names else None
    return usable(data, names, version)


def initdb(data: Path) -> list[str]:
    """Return the command that makes a new cluster in the partial place."""
    return [
        str(BINARIES / "initdb"),
        f"--pgdata={partial(data)}",
        f"--username={SUPERUSER}",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--locale=C.UTF-8",
        "--data-checksums",
        "--auth-local=peer",
        "--auth-host=reject",
        "--no-instructions",
        # initdb runs a server too, and /dev/shm may be too small for it (docs/adr/0041).
        "--set=dynamic_shared_memory_type=sysv",
    ]


def sweep(data: Path) -> bool:
    """Remove what an interrupted initdb left; return whether there was anything."""
    if not partial(data).exists():
        return False
    volume.remove_tree(partial(data))
    return True


def adopt(data: Path, made: Path) -> None:
    """Give a complete new cluster its name, durably; whoever made it has made its files durable."""
    made.rename(data)
    volume.sync(data.parent)


def is_ready(data: Path, pid: int | None = None) -> bool:
    """Tell whether the server, that of a process number where one is given, says that it accepts connections."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    if len(lines) <= STATUS_LINE or (pid is not None and lines[0].strip() != str(pid)):
        return False
    return lines[STATUS_LINE].strip() == "ready"
