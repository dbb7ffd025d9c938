"""Finds images: on the daemon, else by pulling them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from offline.docker.call import Call
from offline.docker.daemon import DaemonError, quoted

Auths = Mapping[str, Mapping[str, str]]


class ImageMissingError(Exception):
    """The image is neither on the daemon nor to be pulled."""


def inspect_image(call: Call, name: str) -> dict[str, Any] | None:
    """Return what the daemon says of an image, or None when it has none by that name or id."""
    try:
        found: dict[str, Any] = call.daemon.get(f"/images/{quoted(name)}/json")
    except DaemonError as error:
        if error.status == 404:
            return None
        raise
    return found


def find_image(call: Call, name: str, auths: Auths, platform: str = "") -> dict[str, Any]:
    """Return an image, pulled if the daemon lacks it; raise ImageMissingError when there is none."""
    if not name:
        raise ImageMissingError("empty image name is not allowed")
    found = inspect_image(call, name)
    if found is not None:
        return found
    _pull(call, name, auths, platform)
    found = inspect_image(call, name)
    if found is None:
        raise ImageMissingError(f"unable to find or pull image {name}")
    return found


def _pull(call: Call, name: str, auths: Auths, platform: str) -> None:
    repository, tag = reference(name)
    auth = json.dumps(auths.get(registry(name), {})).encode()
    headers = {"X-Registry-Auth": base64.urlsafe_b64encode(auth).decode()}
    query = {"fromImage": repository, "tag": tag, **({"platform": platform} if platform else {})}
    refusal = ""
    try:
        with call.daemon.progress("/images/create", query, headers=headers, seconds=call.seconds) as messages:
            for message in messages:
                refusal = refusal or message.get("error", "")
                if not message.get("progressDetail"):
                    call.log.status(f"{name}: {message.get('status', '')}", call.urn)
    except DaemonError as error:
        refusal = str(error)
    if refusal:
        raise ImageMissingError(f"unable to pull image {name}: error pulling image {name}: {refusal}")


def registry(name: str) -> str:
    """Return the registry host of an image name; the empty text when the name has none."""
    first, slash, _ = name.partition("/")
    if slash and (name.count("/") > 1 or "." in first or ":" in first or first == "localhost"):
        return first
    return ""


def reference(name: str) -> tuple[str, str]:
    """Split an image name into repository and tag or digest; the tag is `latest` when there is none."""
    if "@" in name:
        repository, digest = name.split("@", 1)
        return repository, digest
    if name.startswith("sha256:"):
        return "sha256", name.removeprefix("sha256:")
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, "latest")
