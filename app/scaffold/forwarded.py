"""What is believed about where a request came from: the site's address from settings, the client's from the gateway."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .settings import Network

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

IGNORED = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_FORWARDED_SSL",
    "HTTP_X_REAL_IP",
)


def client_address(peer: str, forwarded_for: str, trusted: tuple[Network, ...]) -> str:
    """Return the client's address: what the gateway says, which is exactly one address, else the peer's own."""
    try:
        from_gateway = any(ipaddress.ip_address(peer) in network for network in trusted)
        return str(ipaddress.ip_address(forwarded_for.strip())) if from_gateway else peer
    except ValueError:
        return peer


class Forwarded:
    """WSGI middleware that makes every URL from SITE_URL, whatever Host or X-Forwarded-Host say."""

    def __init__(self, app: WSGIApplication, site_url: str, trusted: tuple[Network, ...]) -> None:
        self.app = app
        self.trusted = trusted
        site = urlsplit(site_url)
        self.site = {
            "wsgi.url_scheme": site.scheme,
            "HTTP_HOST": site.netloc,
            "SERVER_NAME": site.hostname or "localhost",
            "SERVER_PORT": str(site.port or (443 if site.scheme == "https" else 80)),
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request with what is believed about its origin."""
        peer = environ.get("REMOTE_ADDR", "")
        environ["REMOTE_ADDR"] = client_address(peer, environ.pop("HTTP_X_FORWARDED_FOR", ""), self.trusted)
        for name in IGNORED:
            environ.pop(name, None)
        environ.update(self.site)
        return self.app(environ, start_response)
