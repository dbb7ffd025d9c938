"""Files and folders that are found whole or not at all, also after a crash."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, make it durable, and only then give it its name."""
    new = path.with_name(f".{path.name}.new")
    with open(new, "wb", opener=lambda name, flags: os.open(name, flags, 0o640)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    rename(new, path)


def rename(old: Path, new: Path) -> None:
    """Give a file or folder another name, durably; what it holds has been made durable before."""
    old.rename(new)
    sync(new.parent)


def remove(folder: Path) -> None:
    """Remove a folder and all that is in it; links are removed, not followed."""
    shutil.rmtree(folder)
    sync(folder.parent)
