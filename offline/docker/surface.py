"""The schema the provider gives out: the names of what it offers, for tools that list them."""

from __future__ import annotations

import json

from offline.docker import native
from offline.docker.resource import TYPES
from offline.docker.schema import Field, Kind

CONFIG = (
    "caMaterial", "certMaterial", "certPath", "context", "disableDockerDaemonCheck", "host", "keyMaterial",
    "registryAuth", "sshOpts",
)  # fmt: skip
FUNCTIONS = (
    "docker:index/getLogs:getLogs",
    "docker:index/getNetwork:getNetwork",
    "docker:index/getRegistryImage:getRegistryImage",
    "docker:index/getRemoteImage:getRemoteImage",
)
TYPE_NAMES = {Kind.BOOL: "boolean", Kind.INT: "integer", Kind.STRING: "string", Kind.MAP: "object"}


def schema_text(version: str) -> str:
    """Return the schema as JSON; nested objects are described as free-form, the official schema has them in full."""
    resources = {
        token: {
            "properties": {name: _property(field) for name, field in kind.fields.items()},
            "inputProperties": {name: _property(field) for name, field in kind.fields.items() if field.input},
        }
        for token, kind in TYPES.items()
    }
    resources[native.TOKEN] = {"properties": {}, "inputProperties": {}}
    return json.dumps(
        {
            "name": "docker",
            "version": version,
            "config": {"variables": {name: {"type": "string"} for name in CONFIG}},
            "resources": resources,
            "functions": {token: {} for token in FUNCTIONS},
        }
    )


def _property(field: Field) -> dict[str, object]:
    if field.kind in (Kind.LIST, Kind.SET) and not field.one:
        items = {"type": "object"} if field.block is not None else {"type": "string"}
        return {"type": "array", "items": items}
    return {"type": TYPE_NAMES.get(field.kind, "object")}
