"""Builds an image from a folder with the daemon's own builder, and shows its progress."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offline.docker.call import Call
from offline.docker.context import context_archive
from offline.docker.daemon import DaemonError
from offline.plugin.errors import PluginError

STEPS_SHOWN = 40  # lines of output that an error repeats


class BuildError(Exception):
    """The image could not be built; the text holds the step and the last of its output."""


@dataclass(frozen=True)
class Recipe:
    """What an image is built from. `dockerfile` may lie outside the context; it is then sent along.

    `headers` carry the credentials with which base images are pulled.
    """

    context: Path
    dockerfile: Path
    tags: Sequence[str]
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cache_from: Sequence[str] = ()
    ulimits: Sequence[Mapping[str, Any]] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, Any] = field(default_factory=dict)


def located(folder: Path, context: str, dockerfile: str) -> tuple[Path, Path]:
    """Return the context and the Dockerfile, which is named relative to it; raise PluginError when it is not there."""
    root = Path(posixpath.normpath(folder.resolve() / Path(context).expanduser()))
    path = Path(posixpath.normpath(root / (dockerfile or "Dockerfile")))
    if not path.exists():
        reason = f"error resolving dockerfile path: dockerfile not found at path: {path}"
        raise PluginError(f"1 error occurred:\n\t* Error mapping build attributes: {reason}\n\n")
    return root, path


def build(call: Call, recipe: Recipe) -> str:
    """Build an image, tag it, and return its id; raise BuildError."""
    archive, dockerfile = context_archive(recipe.context, recipe.dockerfile)
    query: dict[str, Any] = {
        **recipe.query,
        "dockerfile": dockerfile,
        "version": "1",
        "buildargs": json.dumps(dict(sorted(recipe.arguments.items()))),
        "labels": json.dumps(dict(sorted(recipe.labels.items()))),
        "cachefrom": json.dumps(list(recipe.cache_from)),
        "ulimits": json.dumps(list(recipe.ulimits)),
        "t": recipe.tags[0],
    }
    headers = {**recipe.headers, "Content-Type": "application/x-tar"}
    output: list[str] = []
    identity = ""
    try:
        with archive as content, call.daemon.progress("/build", query, content, headers, call.seconds) as messages:
            for message in messages:
                if call.cancelled.is_set():
                    raise BuildError("Error running legacy build: the update was cancelled")
                if message.get("error"):
                    raise BuildError(_failure(message, output))
                identity = (message.get("aux") or {}).get("ID") or identity
                line = str(message.get("stream") or message.get("status") or "").rstrip()
                if line:
                    output.append(line)
                    call.log.status(line, call.urn)
    except DaemonError as error:
        raise BuildError(f"Error running legacy build: {error}") from None
    for tag in recipe.tags[1:]:
        repository, _, label = tag.rpartition(":")
        if not repository or "/" in label:
            repository, label = tag, "latest"
        try:
            call.daemon.post(f"/images/{identity}/tag", query={"repo": repository, "tag": label})
        except DaemonError as error:
            raise BuildError(f"Error running legacy build: {error}") from None
    return identity


def _failure(message: Mapping[str, Any], output: Sequence[str]) -> str:
    said = str(message["error"]).strip()
    return "Error running legacy build: " + "\n".join([said, "", *output[-STEPS_SHOWN:]])
