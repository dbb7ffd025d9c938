"""A volume's life: created or adopted, read, deleted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from offline.docker.call import Call, Made, failed, refused
from offline.docker.daemon import DaemonError, quoted
from offline.docker.reading import blocks_of, labels_of, mapping_of, text_of
from offline.docker.resource import VOLUME_TYPE
from offline.docker.settling import as_foretold, refreshed, settle
from offline.plugin.values import Properties, Value

FIELDS = VOLUME_TYPE.fields
REMOVAL_SECONDS = 30
POLL_SECONDS = 0.5


def create(call: Call, foretold: Properties) -> Made:
    """Create a volume, or adopt the one of this name as it is; raise PluginError, nothing left behind."""
    wanted = as_foretold(FIELDS, foretold)
    if blocks_of(wanted, "cluster"):
        raise refused("cluster volumes are not supported by this provider: leave `cluster` out")
    body = {
        "Name": text_of(wanted, "name"),
        "Driver": text_of(wanted, "driver") or "local",
        "DriverOpts": mapping_of(wanted, "driverOpts"),
        "Labels": labels_of(wanted),
    }
    try:
        name = str(call.daemon.post("/volumes/create", body)["Name"])
    except DaemonError as error:
        raise refused(f"Unable to create volume: {error}") from None
    found = _found(call, name) or {}
    return Made(name, {**settle(FIELDS, foretold, found), "id": name})


def read(call: Call, id: str, prior: Mapping[str, Value]) -> Made | None:  # noqa: A002
    """Return a volume's present state, or None when it is gone."""
    found = _found(call, id)
    if found is None:
        return None
    if prior.get("driverOpts") is None and not found["driverOpts"]:
        found["driverOpts"] = None
    return Made(id, {**refreshed(FIELDS, prior, found), "id": id})


def _found(call: Call, name: str) -> Properties | None:
    try:
        inspected: dict[str, Any] = call.daemon.get(f"/volumes/{quoted(name)}")
    except DaemonError as error:
        if error.status == 404:
            return None
        raise failed("refreshing", call.urn, f"Unable to inspect volume: {error}") from None
    return {
        "name": inspected["Name"],
        "labels": [{"label": k, "value": v} for k, v in sorted((inspected.get("Labels") or {}).items())],
        "driver": inspected["Driver"],
        "driverOpts": dict(inspected.get("Options") or {}),
        "mountpoint": inspected.get("Mountpoint") or "",
    }


def delete(call: Call, id: str) -> None:  # noqa: A002
    """Remove a volume, trying for thirty seconds while a container uses it; one that is gone is no error."""
    end = time.monotonic() + REMOVAL_SECONDS
    while True:
        try:
            call.daemon.delete(f"/volumes/{quoted(id)}", {"force": True})
        except DaemonError as error:
            if error.status == 404:
                return
            if "volume is in use" not in error.message:
                raise failed("deleting", call.urn, str(error)) from None
        else:
            return
        if time.monotonic() >= end:
            last = f"(last state: 'in_use', timeout: {REMOVAL_SECONDS}s)"
            message = f"timeout while waiting for state to become 'removed' {last}"
            raise failed("deleting", call.urn, message)
        call.wait(POLL_SECONDS)
