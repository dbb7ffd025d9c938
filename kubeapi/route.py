"""The way to an API server: directly or through a proxy, with TLS or without."""

from __future__ import annotations

import base64
import ssl
from http.client import HTTPConnection
from urllib.parse import SplitResult, unquote, urlsplit

from kubeapi.access import Access, KubeconfigError
from kubeapi.connections import CONNECT_SECONDS


class Route:
    """How an access reaches its server; raises KubeconfigError for a proxy of a kind that is not known."""

    def __init__(self, access: Access, context: ssl.SSLContext | None) -> None:
        self._access = access
        self._context = context
        self._server = urlsplit(access.server)
        self._proxy = proxy_of(access)
        # Through a proxy a server without TLS is named in every request, one with TLS only once.
        plain = f"http://{self._server.netloc}" if self._proxy is not None and context is None else ""
        self.root = plain + self._server.path.rstrip("/")

    def connection(self) -> HTTPConnection:
        """Return a connection that is not made yet."""
        host, port = _address(self._server)
        target = _address(self._proxy) if self._proxy is not None else (host, port)
        if self._context is None:
            return HTTPConnection(*target, timeout=CONNECT_SECONDS)
        made = SecureConnection(*target, self._context, self._access.server_name or host)
        if self._proxy is not None:
            made.set_tunnel(host, port, _identified(self._proxy))
        return made


class SecureConnection(HTTPConnection):
    """A connection with TLS, whose other end may be known by another name than the one it is reached by."""

    default_port = 443

    def __init__(self, host: str, port: int, context: ssl.SSLContext, name: str) -> None:
        super().__init__(host, port, timeout=CONNECT_SECONDS)
        self._context = context
        self._name = name

    def connect(self) -> None:
        """Make it."""
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._name)


def proxy_of(access: Access) -> SplitResult | None:
    """Return the proxy an access goes through, None for none; raise KubeconfigError for a kind that is not known."""
    if not access.proxy:
        return None
    found = urlsplit(access.proxy)
    if found.scheme != "http" or not found.hostname:
        raise KubeconfigError(
            f"the cluster of context {access.context!r} has a `proxy-url` that begins with {found.scheme!r}: "
            "make it http://HOST:PORT, or leave it out"
        )
    return found


def _address(place: SplitResult) -> tuple[str, int]:
    return place.hostname or "", place.port or (443 if place.scheme == "https" else 80)


def _identified(proxy: SplitResult) -> dict[str, str]:
    """Return the headers by which a proxy knows its user."""
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}
