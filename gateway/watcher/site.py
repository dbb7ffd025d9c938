"""The site's own URL: how visitors, and so links and redirects, name it."""

from __future__ import annotations

import ipaddress
import json
import re

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST_NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*", re.ASCII)


def shown(value: object) -> str:
    """Return a value as it may stand in an error: JSON, at most 80 characters."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def site_url(value: object) -> str:
    """Return a site's URL, of the form scheme://host or scheme://host:port; raise ValueError."""
    wanted = f"got {shown(value)}, wanted https://host or http://host, with :port where it is not the scheme's own"
    if not isinstance(value, str) or not value.isascii() or len(value) > 300:
        raise ValueError(wanted)
    found = re.fullmatch(r"(https?)://(\[[0-9a-fA-F:.]+\]|[^\s/?#@:\[\]\\]+)(?::([0-9]{1,5}))?/?", value)
    if not found:
        raise ValueError(wanted)
    scheme, host, port = found.groups()
    host = host.lower()
    if host.startswith("["):
        try:
            host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            raise ValueError(wanted) from None
    elif not HOST_NAME.fullmatch(host) or len(host) > 253:
        raise ValueError(wanted)
    if port is not None and not 1 <= int(port) <= 65535:
        raise ValueError(wanted)
    return f"{scheme}://{host}" + (f":{int(port)}" if port else "")
