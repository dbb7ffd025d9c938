"""The upstream: a release and the peers that serve it, by name; and the addresses behind the names."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from watcher.site import site_url

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?", re.ASCII)
RELEASE = re.compile(r"[A-Za-z0-9._-]{0,128}", re.ASCII)
MOST_PEERS = 64


class UpstreamError(ValueError):
    """An upstream that cannot be used."""


@dataclass(frozen=True)
class Peer:
    """One peer: a host name or address, and a port."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True)
class Upstream:
    """A release's name, its peers and the site that it knows itself as; without peers every request gets the page.

    The site's URL belongs to a release: the one that serves must go on answering under its own until the next has it.
    """

    release: str = ""
    peers: tuple[Peer, ...] = ()
    site_url: str = ""

    def document(self) -> dict[str, Any]:
        """Return the upstream as it is told and stored."""
        site = {"site_url": self.site_url} if self.site_url else {}
        return {"release": self.release, "peers": [str(peer) for peer in self.peers], **site}


def peer(value: object) -> Peer:
    """Return a peer of the form name:port; raise UpstreamError."""
    wanted = f"got {json.dumps(value, default=str)[:80]}, wanted name:port, such as web:8000"
    if not isinstance(value, str):
        raise UpstreamError(wanted)
    name, colon, port = value.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65535:
        raise UpstreamError(wanted)
    if name.startswith("[") and name.endswith("]"):
        try:
            return Peer(ipaddress.IPv6Address(name[1:-1]).compressed, int(port))
        except ValueError:
            raise UpstreamError(wanted) from None
    if not NAME.fullmatch(name):
        raise UpstreamError(wanted)
    return Peer(name, int(port))


def check(given: object) -> Upstream:
    """Return the upstream in a JSON value; raise UpstreamError."""
    if not isinstance(given, dict) or not {"release", "peers"} <= set(given) <= {"release", "peers", "site_url"}:
        raise UpstreamError(
            'upstream: wanted {"release": "...", "peers": ["name:port", ...], "site_url": "https://..."}'
        )
    release, peers = given["release"], given["peers"]
    try:
        site = site_url(given["site_url"]) if "site_url" in given else ""
    except ValueError as error:
        raise UpstreamError(f"upstream: site_url: {error}") from error
    if not isinstance(release, str) or not RELEASE.fullmatch(release):
        raise UpstreamError(
            f"upstream: release: got {json.dumps(release, default=str)[:80]}, wanted letters, digits, dots and dashes"
        )
    if not isinstance(peers, list) or len(peers) > MOST_PEERS:
        raise UpstreamError(f"upstream: peers: wanted a list of at most {MOST_PEERS}")
    try:
        return Upstream(release, tuple(dict.fromkeys(peer(entry) for entry in peers)), site)
    except UpstreamError as error:
        raise UpstreamError(f"upstream: peers: {error}") from error


def parse(text: str) -> Upstream:
    """Return the upstream in a JSON text; raise UpstreamError."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UpstreamError(f"upstream: is not JSON: {error}") from error
    return check(given)


def addresses_text(upstream: Upstream, addresses: Mapping[Peer, Iterable[str]]) -> str:
    """Return what Nginx reads: the release, then an address and a port a line, in the peers' order, each once."""
    lines = [upstream.release]
    for entry in upstream.peers:
        for address in addresses.get(entry, ()):
            bracketed = f"[{address}]" if ":" in address else address
            line = f"{bracketed} {entry.port}"
            if line not in lines[1:]:
                lines.append(line)
    return "\n".join(lines) + "\n"


def text(upstream: Upstream) -> str:
    """Return the upstream as JSON, as it is stored."""
    return json.dumps(upstream.document(), sort_keys=True) + "\n"
