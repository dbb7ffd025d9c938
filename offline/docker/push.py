"""Pushes an image to its registry, shows how far that is, and tells the digest under which it lies there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from offline.docker import credentials, image_name
from offline.docker.call import Call
from offline.docker.credentials import Credentials
from offline.docker.daemon import DaemonError, quoted
from offline.docker.pull import Auths, inspect_image, reference
from offline.plugin.errors import PluginError
from offline.plugin.log import WARNING

NOTHING = "<none>@<none>"  # what the official provider records where no digest is known
SHOWN_SECONDS = 0.2  # a layer's bar moves more often than anybody can read
UNWELCOME = ("unauthorized", "denied", "authentication", "no basic auth")


def find(call: Call, name: str, own: Mapping[str, str], auths: Auths) -> Credentials:
    """Return what an image is pushed with, and warn of half a pair; raise PluginError."""
    if bool(own.get("username")) != bool(own.get("password")):
        missing, given = ("username", "password") if own.get("password") else ("password", "username")
        reason = f"{missing} was not set, although {given} was; using host credentials file"
        call.log.write(WARNING, reason, call.urn)
    try:
        return credentials.find(own, name, auths)
    except image_name.MisnamedError as error:
        raise PluginError(f'"{name}": {error}') from None


def push(call: Call, name: str, shown: Credentials) -> str:
    """Push an image that the daemon has, and return `repository@digest`; raise PluginError."""
    repository, tag = reference(name)
    full = image_name.parse(name).repository
    call.log.status("Pushing Image to the registry", call.urn)
    digest = ""
    last = 0.0
    try:
        path = f"/images/{quoted(repository)}/push"
        with call.daemon.progress(path, {"tag": tag}, headers=shown.header, seconds=call.seconds) as messages:
            for message in messages:
                if call.cancelled.is_set():
                    raise PluginError("error reading push output: the update was cancelled")
                if message.get("error") or message.get("errorDetail"):
                    raise PluginError(f"error reading push output: {_refusal(message, name, shown)}")
                digest = (message.get("aux") or {}).get("Digest") or digest
                if not message.get("progress") or time.monotonic() - last > SHOWN_SECONDS:
                    last = time.monotonic()
                    call.log.status(_line(message), call.urn)
    except DaemonError as error:
        raise PluginError(_explained(str(error), name, shown)) from None
    if digest:
        call.log.status(f"Pushed image with digest {digest}", call.urn)
        return f"{full}@{digest}"
    reason = "Push completed without reporting a digest; falling back to local image inspect"
    call.log.write(WARNING, reason, call.urn)
    digests = [str(found) for found in (inspect_image(call, name) or {}).get("RepoDigests") or []]
    pairs = [(image_name.parse(found).repository, found.partition("@")[2]) for found in digests]
    return next((f"{full}@{found}" for place, found in pairs if place == full), NOTHING)


def _refusal(message: Mapping[str, Any], name: str, shown: Credentials) -> str:
    detail = message.get("errorDetail") or {}
    said = str(detail.get("message") or message.get("error"))
    if detail.get("code") == 401:
        said = "authentication is required"
    elif said == "EOF":
        said = (
            "EOF\n: This error is most likely due to incorrect or mismatched registry credentials. "
            "Please double check you are using the correct credentials and registry name"
        )
    return _explained(said, name, shown)


def _explained(said: str, name: str, shown: Credentials) -> str:
    """Return the daemon's words and, where they do not tell, which registry refused what and what to do."""
    said, host = shown.hidden(said), shown.shown_host
    if any(word in said.lower() for word in UNWELCOME):
        why = f"credentials of {shown.source} were shown" if shown.source else "no credentials were found for it"
        return (
            f"{said}\nThe registry {host} does not let {name} be pushed; {why}. Set `username` and `password` in the "
            f"image's `registry`, or run: docker login {host}"
        )
    return said if host in said else f"{said}\nThe image was to be pushed as {name} to the registry {host}."


def _line(message: Mapping[str, Any]) -> str:
    layer = f"{message['id']}: " if message.get("id") else ""
    return f"{layer}{message.get('status', '')} {message.get('progress', '')}".rstrip()
