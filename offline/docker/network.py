"""A network's life: created, read, deleted. Every change makes a new one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from offline.docker.call import Call, Made, failed, refused
from offline.docker.daemon import DaemonError, quoted
from offline.docker.reading import blocks_of, flag_of, labels_of, mapping_of, text_of
from offline.docker.resource import NETWORK_TYPE
from offline.docker.settling import as_foretold, refreshed, settle
from offline.plugin.values import Properties, Value

FIELDS = NETWORK_TYPE.fields
REMOVAL_SECONDS = 30
POLL_SECONDS = 0.5


def create(call: Call, foretold: Properties) -> Made:
    """Create a network; raise PluginError, nothing left behind, also when one of this name is there."""
    wanted = as_foretold(FIELDS, foretold)
    body: dict[str, Any] = {
        "Name": text_of(wanted, "name"),
        "CheckDuplicate": True,
        "Driver": text_of(wanted, "driver") or "bridge",
        "Internal": flag_of(wanted, "internal"),
        "Attachable": flag_of(wanted, "attachable"),
        "Ingress": flag_of(wanted, "ingress"),
        "EnableIPv6": flag_of(wanted, "ipv6"),
        "Options": mapping_of(wanted, "options"),
        "Labels": labels_of(wanted),
        "IPAM": {
            "Driver": text_of(wanted, "ipamDriver"),
            "Options": mapping_of(wanted, "ipamOptions"),
            "Config": [_ipam(config) for config in blocks_of(wanted, "ipamConfigs")],
        },
    }
    try:
        network = str(call.daemon.post("/networks/create", body)["Id"])
    except DaemonError as error:
        raise refused(f"Unable to create network: {error}") from None
    found = _found(call, network) or {}
    return Made(network, {**settle(FIELDS, foretold, found), "id": network})


def _ipam(config: Properties) -> dict[str, Any]:
    body = {
        "Subnet": text_of(config, "subnet"),
        "IPRange": text_of(config, "ipRange"),
        "Gateway": text_of(config, "gateway"),
        "AuxiliaryAddresses": mapping_of(config, "auxAddress"),
    }
    return {key: value for key, value in body.items() if value}


def read(call: Call, id: str, prior: Mapping[str, Value]) -> Made | None:  # noqa: A002
    """Return a network's present state, or None when it is gone."""
    found = _found(call, id)
    if found is None:
        return None
    return Made(id, {**refreshed(FIELDS, prior, found), "id": id})


def _found(call: Call, network: str) -> Properties | None:
    try:
        inspected: dict[str, Any] = call.daemon.get(f"/networks/{quoted(network)}")
    except DaemonError as error:
        if error.status == 404:
            return None
        raise failed("refreshing", call.urn, str(error)) from None
    ipam = inspected.get("IPAM") or {}
    return {
        "name": inspected["Name"],
        "labels": [{"label": k, "value": v} for k, v in sorted((inspected.get("Labels") or {}).items())],
        "driver": inspected["Driver"],
        "internal": bool(inspected.get("Internal")),
        "attachable": bool(inspected.get("Attachable")),
        "ingress": bool(inspected.get("Ingress")),
        "ipv6": bool(inspected.get("EnableIPv6")),
        "ipamDriver": ipam.get("Driver") or "",
        "ipamOptions": dict(ipam.get("Options") or {}),
        "ipamConfigs": [
            {
                "subnet": config.get("Subnet") or "",
                "ipRange": config.get("IPRange") or "",
                "gateway": config.get("Gateway") or "",
                "auxAddress": dict(config.get("AuxiliaryAddresses") or {}),
            }
            for config in ipam.get("Config") or []
        ],
        "options": dict(inspected.get("Options") or {}),
        "scope": inspected.get("Scope") or "",
    }


def delete(call: Call, id: str) -> None:  # noqa: A002
    """Remove a network, trying for thirty seconds while something uses it; one that is gone is no error."""
    end = time.monotonic() + REMOVAL_SECONDS
    while True:
        try:
            call.daemon.delete(f"/networks/{quoted(id)}")
        except DaemonError as error:
            if error.status == 404:
                return
            if "has active endpoints" not in error.message:
                raise failed("deleting", call.urn, str(error)) from None
        else:
            return
        if time.monotonic() >= end:
            last = f"(last state: 'pending', timeout: {REMOVAL_SECONDS}s)"
            message = f"timeout while waiting for state to become 'removed' {last}"
            raise failed("deleting", call.urn, message)
        call.wait(POLL_SECONDS)
