"""The provider's own configuration: checked, compared, and read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Secret, Value, is_unknown, reveal

TEXTS = frozenset({"caMaterial", "certMaterial", "certPath", "context", "host", "keyMaterial"})
JSON_TEXTS = frozenset({"registryAuth", "sshOpts"})
FLAGS = frozenset({"disableDockerDaemonCheck"})
SECRETS = frozenset({"registryAuth"})
ENGINE_KEYS = frozenset({"version", "pluginDownloadURL", "__internal"})
KNOWN = TEXTS | JSON_TEXTS | FLAGS | ENGINE_KEYS
UNSUPPORTED = frozenset({"context", "sshOpts"})


@dataclass(frozen=True)
class Configuration:
    """What a program configures the provider with."""

    host: str = ""
    cert_path: str = ""
    ca_material: str = ""
    cert_material: str = ""
    key_material: str = ""
    auths: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    host_unknown: bool = False


def check(name: str, news: Properties) -> tuple[Properties, list[str]]:
    """Return the configuration as the engine keeps it, and complaints; raise PluginError for what is no JSON."""
    unknown = sorted(news.keys() - KNOWN)
    if unknown:
        reason = "could not validate provider configuration: Invalid or unknown key."
        return {}, [f"{reason} Examine values at '{name}.{key}'." for key in unknown]
    checked: Properties = {}
    for key, value in news.items():
        if value is None:
            continue
        plain = reveal(value)
        if key in FLAGS and isinstance(plain, str) and not is_unknown(plain):
            plain = _flag(plain)
        if key in JSON_TEXTS and isinstance(plain, list | dict):
            plain = json.dumps(plain, separators=(",", ":"), sort_keys=True)
        secret = key in SECRETS or isinstance(value, Secret)
        checked[key] = Secret(plain) if secret and not is_unknown(plain) else plain
    return checked, []


def _flag(written: str) -> Value:
    try:
        parsed = json.loads(written)
    except ValueError:
        reason = f"invalid character '{written[:1]}' looking for beginning of value"
        raise PluginError(f"CheckConfig failed because of malformed resource inputs: {reason}") from None
    return bool(parsed)


def read(properties: Properties) -> Configuration:
    """Return the configuration the engine sends; raise PluginError for one this provider cannot follow."""
    plain = {key: reveal(value) for key, value in properties.items()}
    asked = sorted(key for key in UNSUPPORTED if plain.get(key) not in (None, "", "[]", []))
    if asked:
        raise PluginError(
            f"the provider's setting `{asked[0]}` needs the official Docker plugin: set `host` to a unix:// or tcp:// "
            "address instead, or put the official plugin on PATH"
        )

    def text(key: str) -> str:
        value = plain.get(key)
        return value if isinstance(value, str) else ""

    return Configuration(
        text("host"),
        text("certPath"),
        text("caMaterial"),
        text("certMaterial"),
        text("keyMaterial"),
        auths(plain.get("registryAuth")),
        is_unknown(plain.get("host")),
    )


def auths(written: Value) -> dict[str, dict[str, str]]:
    """Return the credentials by registry host."""
    entries = json.loads(written) if isinstance(written, str) and written else written
    found: dict[str, dict[str, str]] = {}
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            continue
        address = str(entry.get("address") or "").removeprefix("https://").removeprefix("http://").rstrip("/")
        found[address] = {
            "username": str(entry.get("username") or ""),
            "password": str(entry.get("password") or ""),
            "serveraddress": address,
        }
    return found
