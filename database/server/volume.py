"""The data volume: one container at a time, and nothing stale in it or in the socket directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path

from server.error import StopError

ROOT = Path("/var/lib/postgresql")
DATA = ROOT / "data"
LOG = ROOT / "log"
SOCKETS = Path("/run/postgresql")
SOCKET_NAME = ".s.PGSQL.5432"


def claim(root: Path) -> int | None:
    """Take the volume's lock and return its descriptor; None while another container holds it.

    The server inherits the descriptor, so the lock lasts until its last process is gone, even when PID 1 was killed.
    Raise StopError when the volume cannot be written.
    """
    try:
        descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        owner = root.stat().st_uid if root.exists() else "nobody"
        raise StopError(
            f"{root}: cannot write as uid {os.getuid()}: {error.strerror} (it belongs to uid {owner}). "
            f"Mount a volume there, or for a host folder run: chown {os.getuid()}:{os.getgid()} FOLDER"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise StopError(f"{root}: cannot lock: {error.strerror}. Use a file system with flock") from None
    return descriptor


def narrow(data: Path) -> bool:
    """Take the data directory back from its group and from others; return whether it was open to them.

    A cluster of machines opens what is on a volume when it gives that to a group, and PostgreSQL does not start on it.
    """
    try:
        if not data.stat().st_mode & 0o077:
            return False
        data.chmod(0o700)
    except (FileNotFoundError, PermissionError):
        return False
    return True


def answers(path: Path) -> bool:
    """Return whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def clear_stale(data: Path, sockets: Path) -> list[str]:
    """Remove what a killed server left behind and return its paths; the caller holds the volume's lock.

    PostgreSQL takes such a file for a live server's when its process number is in use again, which in a container it
    often is. Raise StopError when a server does listen in the socket directory.
    """
    if answers(sockets / SOCKET_NAME):
        raise StopError(f"{sockets}: another server listens there. Give each server a socket volume of its own")
    removed = []
    for path in (data / "postmaster.pid", sockets / SOCKET_NAME, sockets / f"{SOCKET_NAME}.lock"):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StopError(f"{path}: cannot remove what a killed server left: {error.strerror}") from None
        removed.append(str(path))
    return removed


def remove_tree(path: Path) -> None:
    """Remove a directory and what is below it; symbolic links are removed, not followed."""
    for folder, folders, files in os.walk(path, topdown=False):
        for name in files:
            (Path(folder) / name).unlink()
        for name in folders:
            below = Path(folder) / name
            if below.is_symlink():
                below.unlink()
            else:
                below.rmdir()
    path.rmdir()


def sync(path: Path) -> None:
    """Make a directory's entries durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def post(path: Path, text: str) -> None:
    """Write a file that is found whole or not at all, and soon written anew: nothing waits for the disk."""
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="ascii")
    new.replace(path)


def write(path: Path, text: str) -> None:
    """Write a file that is found whole or not at all; one that has this text already is left alone."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_text(encoding="utf-8") == text:
            return
    new = path.with_name(path.name + ".new")
    with open(new, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync(path.parent)
