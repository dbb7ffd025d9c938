"""gateway.json: what it may say, and errors that name the key, what it got and what it wanted."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from watcher.site import shown, site_url
from watcher.upstream import UpstreamError, peer

SIZE = re.compile(r"([1-9][0-9]{0,6})([km])", re.ASCII)
UNITS = {"k": 1024, "m": 1024 * 1024}
LARGEST_BODY = 1024 * 1024 * 1024


class SettingsError(ValueError):
    """Settings that cannot be used; `problems` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Settings:
    """The gateway's settings; without a site_url every request gets the page."""

    site_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    max_body: str = "10m"
    retry_after: int = 30
    connect_timeout_ms: int = 150
    read_timeout: int = 60
    workers: int = 2
    worker_connections: int = 2048
    hsts_max_age: int = 31536000
    upstream: str | None = None

    @property
    def scheme(self) -> str:
        """The public scheme."""
        return urlsplit(self.site_url or "http://localhost").scheme

    @property
    def host_name(self) -> str:
        """The public host without its port, as it stands in a Host header (IPv6 in brackets)."""
        host = urlsplit(self.site_url or "http://localhost").hostname or ""
        return f"[{host}]" if ":" in host else host

    @property
    def port(self) -> int:
        """The public port."""
        return urlsplit(self.site_url or "http://localhost").port or (443 if self.scheme == "https" else 80)

    @property
    def host(self) -> str:
        """The public host, with its port where that is not the scheme's own."""
        usual = 443 if self.scheme == "https" else 80
        return self.host_name if self.port == usual else f"{self.host_name}:{self.port}"


RANGES = {
    "retry_after": (1, 86400),
    "connect_timeout_ms": (10, 10000),
    "read_timeout": (1, 3600),
    "workers": (1, 32),
    "worker_connections": (64, 65536),
    "hsts_max_age": (0, 63072000),
}


def parse(text: str) -> Settings:
    """Return the settings of a gateway.json; raise SettingsError with every problem in it."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError([f"gateway.json: is not JSON: {error}"]) from error
    if not isinstance(given, dict):
        raise SettingsError([f"gateway.json: got {shown(given)}, wanted an object"])
    return check(given)


def check(given: Mapping[str, Any]) -> Settings:
    """Return the settings; raise SettingsError with every problem in them."""
    problems: list[str] = []
    values: dict[str, Any] = {}
    known = [field.name for field in fields(Settings)]
    if unknown := sorted(str(key) for key in given if key not in known):
        problems.append(
            f"gateway.json: unknown keys: {', '.join(shown(key) for key in unknown)}; known are: {', '.join(known)}"
        )
    readers = {"site_url": site_url, "trusted_proxies": networks, "max_body": size, "upstream": discovered}
    for key in known:
        if key not in given and key != "site_url":
            continue
        try:
            if key in RANGES:
                values[key] = whole(given[key], *RANGES[key])
            else:
                values[key] = readers[key](given.get(key))
        except ValueError as error:
            problems.append(f"gateway.json: {key}: {error}")
    if problems:
        raise SettingsError(problems)
    return Settings(**values)


def networks(value: object) -> tuple[str, ...]:
    """Return networks as CIDR; raise ValueError for what is none, or for one that takes in everybody."""
    wanted = "wanted a list of networks such as 10.0.0.0/8 or addresses"
    if not isinstance(value, list):
        raise ValueError(f"got {shown(value)}, {wanted}")  # noqa: TRY004 - collected with the others
    found = []
    for entry in value:
        if not isinstance(entry, str) or "%" in entry:
            raise ValueError(f"got {shown(entry)} in it, {wanted}")
        try:
            network = ipaddress.ip_network(entry)
        except ValueError as error:
            raise ValueError(f"got {shown(entry)} in it, {wanted}: {error}") from error
        if network.prefixlen == 0:
            raise ValueError(f"got {shown(entry)} in it, which trusts everybody: name the proxies' own networks")
        if str(network) == "255.255.255.255/32":
            # Nginx takes this address for one that it cannot read.
            raise ValueError(f"got {shown(entry)} in it, which is everybody on a network and no proxy")
        found.append(str(network))
    return tuple(dict.fromkeys(found))


def size(value: object) -> str:
    """Return a size such as 512k or 10m; raise ValueError."""
    wanted = f"got {shown(value)}, wanted a size such as 512k or 10m, at most 1024m"
    found = SIZE.fullmatch(value) if isinstance(value, str) else None
    if not found or int(found[1]) * UNITS[found[2]] > LARGEST_BODY:
        raise ValueError(wanted)
    return found[0]


def whole(value: object, least: int, most: int) -> int:
    """Return a whole number in a range; raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"got {shown(value)}, wanted a whole number from {least} to {most}")
    return value


def discovered(value: object) -> str | None:
    """Return the name and port whose addresses are the peers, or None where a switch tells them; raise ValueError."""
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"discover"}:
        raise ValueError(f'got {shown(value)}, wanted null or {{"discover": "name:port"}}')
    try:
        return str(peer(value["discover"]))
    except UpstreamError as error:
        raise ValueError(str(error)) from error
