"""The images: a folder each, tagged by a hash of everything that goes into the build."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path

from infra.model import Image
from infra.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
"""Folders that tools leave behind; each image's .dockerignore leaves them out of the build too."""


def app(settings: Settings) -> Image:
    """The Flask app."""
    return of_folder("app", {**debian(settings), "PSYCOPG": settings.psycopg})


def gateway(settings: Settings) -> Image:
    """Nginx with the watcher."""
    return of_folder("gateway", debian(settings))


def database(settings: Settings) -> Image:
    """PostgreSQL."""
    return of_folder("database", debian(settings))


def backup(settings: Settings) -> Image:
    """What makes backups and restores them."""
    return of_folder("backup", debian(settings))


def debian(settings: Settings) -> dict[str, str]:
    """Return what every image is built with: the base, and the record that renews the distribution's packages."""
    return {"BASE_IMAGE": settings.base_image, "PACKAGES": settings.packages}


def of_folder(name: str, arguments: dict[str, str], root: Path = ROOT) -> Image:
    """Describe the image built from a folder with build arguments."""
    return Image(name=name, tag=tag(root / name, arguments), arguments=arguments)


def tag(folder: Path, arguments: dict[str, str]) -> str:
    """Return 16 hex digits over names, executable bits and contents of a folder's files, and the build arguments."""
    digest = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode())
    for path in files(folder):
        executable = bool(path.stat().st_mode & stat.S_IXUSR)
        name = path.relative_to(folder).as_posix()
        digest.update(json.dumps([name, executable, hashlib.sha256(path.read_bytes()).hexdigest()]).encode())
    return digest.hexdigest()[:16]


def files(folder: Path) -> Iterator[Path]:
    """Yield the files of a build context in order, without what tools leave behind."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not LEFT_OUT.intersection(path.relative_to(folder).parts):
            yield path
