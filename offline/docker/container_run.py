"""Runs a container that has been created: networks, files, start, health, and the end of a one-shot."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from offline.docker.call import Call
from offline.docker.container_files import archive
from offline.docker.container_spec import endpoint
from offline.docker.daemon import DaemonError, SlowError, quoted
from offline.docker.reading import blocks_of, flag_of, number_of, text_of
from offline.plugin.errors import PluginError
from offline.plugin.values import Properties

HEALTH_POLL_SECONDS = 0.2
CRASH_SECONDS = 0.15  # a container that ends at once is to be seen as ended, as the slower official provider sees it
WAIT_SLICE_SECONDS = 5.0
FRAME_HEADER_BYTES = 8

NO_HEALTHCHECK = (
    "you have supplied a 'wait' argument, but the container does not have a healthcheck defined. "
    "Please remove the 'wait' argument or add a 'healthcheck' attribute"
)


def connect(call: Call, container: str, wanted: Properties) -> None:
    """Connect a container to its networks, and take it off the default one where it has any; raise PluginError."""
    chosen = blocks_of(wanted, "networksAdvanced")
    if not chosen:
        return
    try:
        call.daemon.post("/networks/bridge/disconnect", {"Container": container})
    except DaemonError as error:
        if "is not connected to" not in error.message:
            raise PluginError(f"Unable to disconnect the default network: {error}") from None
    for network in chosen:
        name = text_of(network, "name")
        body = {"Container": container, "EndpointConfig": endpoint(network, call.daemon.api)}
        try:
            call.daemon.post(f"/networks/{quoted(name)}/connect", body)
        except DaemonError as error:
            raise PluginError(f"Unable to connect to network '{name}': {error}") from None


def upload(call: Call, container: str, wanted: Properties) -> None:
    """Put the files in place, before the first process of the container can look; raise PluginError.

    All at once: for each archive the daemon mounts the container and its volumes anew.
    """
    files = blocks_of(wanted, "uploads")
    if not files:
        return
    packed = archive(files, Path(call.folder))
    try:
        call.daemon.put(f"/containers/{container}/archive", packed, {"path": "/", "noOverwriteDirNonDir": True})
    except DaemonError as error:
        raise PluginError(f"Unable to upload volume content: {error}") from None


def start(call: Call, container: str) -> None:
    """Start a container; raise PluginError."""
    try:
        call.daemon.post(f"/containers/{container}/start", seconds=call.seconds)
    except DaemonError as error:
        raise PluginError(f"Unable to start container: {error}") from None


def await_health(call: Call, container: str, wanted: Properties) -> None:
    """Wait until the container is healthy; raise PluginError when it has no health check or its time is over."""
    end = time.monotonic() + number_of(wanted, "waitTimeout")
    while True:
        health = (call.daemon.get(f"/containers/{container}/json")["State"]).get("Health")
        if health is None or health.get("Status") in ("", "none", None):
            raise PluginError(NO_HEALTHCHECK)
        if health["Status"] == "healthy":
            return
        if time.monotonic() >= end:
            raise PluginError("container failed to be in healthy state")
        call.wait(min(HEALTH_POLL_SECONDS, max(0.0, end - time.monotonic())))


def await_exit(call: Call, container: str) -> int:
    """Wait until the container has ended and return its exit code; raise PluginError when its time is over."""
    end = call.deadline()
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise PluginError("Unable to wait container end of execution: context deadline exceeded")
        try:
            done: dict[str, Any] = call.daemon.post(
                f"/containers/{container}/wait",
                query={"condition": "not-running"},
                seconds=min(WAIT_SLICE_SECONDS, left),
            )
            return int(done["StatusCode"])
        except SlowError:
            call.wait(0)
        except DaemonError as error:
            raise PluginError(f"Unable to wait container end of execution: {error}") from None


def logs(call: Call, container: str, *, terminal: bool) -> str:
    """Return what a container has written to standard output and standard error, in that order of arrival."""
    query = {"stdout": True, "stderr": True}
    raw = call.daemon.raw(f"/containers/{container}/logs", query, seconds=call.seconds)
    return (raw if terminal else unframed(raw)).decode(errors="replace")


def unframed(raw: bytes) -> bytes:
    """Return a log without the headers that say of each piece whence and how long it is."""
    pieces: list[bytes] = []
    position = 0
    while position + FRAME_HEADER_BYTES <= len(raw):
        length = int.from_bytes(raw[position + 4 : position + FRAME_HEADER_BYTES], "big")
        position += FRAME_HEADER_BYTES
        pieces.append(raw[position : position + length])
        position += length
    return b"".join(pieces)


def finish(call: Call, container: str, wanted: Properties) -> Properties:
    """Start, wait for health or for the end, as the properties ask; return what only that can tell."""
    if flag_of(wanted, "start"):
        start(call, container)
        if flag_of(wanted, "wait"):
            await_health(call, container, wanted)
    if not flag_of(wanted, "attach"):
        if flag_of(wanted, "start") and not flag_of(wanted, "wait"):
            call.wait(CRASH_SECONDS)
        return {}
    code = await_exit(call, container)
    told: Properties = {"exitCode": code}
    if flag_of(wanted, "logs"):
        try:
            told["containerLogs"] = logs(call, container, terminal=flag_of(wanted, "tty"))
        except DaemonError as error:
            if not flag_of(wanted, "rm"):
                raise PluginError(f"unable to read container logs: {error}") from None
    return told
