"""An image's name taken apart as Docker does: its registry, its path there, and whether both were spelled out."""

from __future__ import annotations

import re
from dataclasses import dataclass

HUB = "docker.io"
HUB_ALIAS = f"index.{HUB}"
OFFICIAL = "library"

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


class MisnamedError(ValueError):
    """The text names no image; worded as Docker words it."""


@dataclass(frozen=True)
class ImageName:
    """A name with nothing left out. `canonical` says that the text spelled registry and path in full."""

    registry: str
    path: str
    canonical: bool

    @property
    def repository(self) -> str:
        """Return registry and path."""
        return f"{self.registry}/{self.path}"


def parse(text: str) -> ImageName:
    """Return an image's name in full; raise MisnamedError."""
    named, colon, tag = text.partition("@")[0].rpartition(":")
    if not colon or "/" in tag:
        named, tag = text.partition("@")[0], "latest"
    first, slash, rest = named.partition("/")
    has_registry = slash and (first == "localhost" or "." in first or ":" in first or first != first.lower())
    registry, path = (first, rest) if has_registry else (HUB, named)
    registry = HUB if registry == HUB_ALIAS else registry
    if registry == HUB and "/" not in path:
        path = f"{OFFICIAL}/{path}"
    if path != path.lower():
        raise MisnamedError(f"invalid reference format: repository name ({path}) must be lowercase")
    if not (_REGISTRY.fullmatch(registry) and _PATH.fullmatch(path) and _TAG.fullmatch(tag)):
        raise MisnamedError("invalid reference format")
    return ImageName(registry, path, named == f"{registry}/{path}")
