"""Settings to nginx.conf: a pure function; every value it places was checked by settings.py."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from string import Template

from watcher.settings import Settings

LISTEN_OPTIONS = "backlog=511"


class NginxTemplate(Template):
    """A template whose placeholders are @{name}, since $name is Nginx's own."""

    delimiter = "@"
    idpattern = r"(?!)"
    braceidpattern = r"[a-z_]+"


@dataclass(frozen=True)
class Surroundings:
    """What the configuration needs to know of the container: directories as text, and the sockets to listen on."""

    runtime: str
    spool: str
    page: str
    lua: str
    listen: tuple[str, ...]


def render(settings: Settings, template: str, surroundings: Surroundings) -> str:
    """Return the configuration, with its own digest in it; raise KeyError for a placeholder nobody fills."""
    values = {
        "runtime": surroundings.runtime,
        "spool": surroundings.spool,
        "page": surroundings.page,
        "lua": surroundings.lua,
        "workers": str(settings.workers),
        "worker_connections": str(settings.worker_connections),
        "open_files": str(2 * settings.worker_connections + 64),  # a client and its peer, and the logs
        "avoid_for": "0.3",
        "retry_after": str(settings.retry_after),
        "max_body": settings.max_body,
        "connect_timeout": f"{settings.connect_timeout_ms}ms",
        "next_upstream_timeout": f"{settings.connect_timeout_ms + 2000}ms",
        "read_timeout": f"{settings.read_timeout}s",
        "trusted_proxies_geo": lines(8, [f"{network} 1;" for network in settings.trusted_proxies]),
        "trusted_proxies_real_ip": lines(4, [f"set_real_ip_from {network};" for network in settings.trusted_proxies]),
        "scheme": settings.scheme,
        "host": settings.host,
        "port": str(settings.port),
        "server_name": server_name(settings),
        "listen_site": lines(8, listen(surroundings.listen, default=settings.site_url is None)),
        "listen_default": lines(8, listen(surroundings.listen, default=settings.site_url is not None)),
        "hsts": lines(4, hsts(settings)),
        "hide_hsts": lines(4, ["proxy_hide_header Strict-Transport-Security;"] if hsts(settings) else []),
        "answer": answer(settings),
        "answer_healthz": answer(settings, "/healthz"),
        "answer_readyz": answer(settings, "/readyz"),
    }
    values["own_locations"] = own_locations(settings)
    values["few_words"] = lines(12, few_words(settings))
    digest = hashlib.sha256((template + repr(sorted(values.items()))).encode()).hexdigest()[:16]
    return NginxTemplate(template).substitute(values, digest=digest)


def digest_of(configuration: str) -> str:
    """Return the digest that a rendered configuration answers with."""
    return configuration.rpartition('ngx.print("')[2].partition('"')[0]


def lines(indent: int, entries: list[str]) -> str:
    """Return directives, one a line."""
    return "\n".join(" " * indent + entry for entry in entries)


def server_name(settings: Settings) -> str:
    """Return the site's host as a server_name; without a site, one that no request has."""
    return f'"{settings.host_name}"' if settings.site_url else '"unconfigured.invalid"'


def answer(settings: Settings, path: str = "") -> str:
    """Return the directive that has the application answer, at the path that was asked for or at this one."""
    return f"proxy_pass http://application{path};" if settings.site_url else "return 502;"


def listen(sockets: tuple[str, ...], *, default: bool) -> list[str]:
    """Return the listen directives of a server; one server of each socket is the default."""
    return [f"listen {socket}{' default_server ' + LISTEN_OPTIONS if default else ''};" for socket in sockets]


def hsts(settings: Settings) -> list[str]:
    """Return the header that keeps a browser on HTTPS, where the site is there."""
    if settings.scheme != "https" or settings.hsts_max_age == 0:
        return []
    return [f'add_header Strict-Transport-Security "max-age={settings.hsts_max_age}" always;']


def headers(settings: Settings) -> list[str]:
    """Return the headers of what the gateway says itself; a location that has some of its own inherits none."""
    return [
        "add_header X-Request-ID $request_name always;",
        *hsts(settings),
        "add_header Cache-Control no-store always;",
        "add_header X-Content-Type-Options nosniff always;",
        "add_header X-Frame-Options DENY always;",
        "add_header Referrer-Policy no-referrer always;",
        "add_header X-Robots-Tag noindex always;",
        'add_header Cross-Origin-Opener-Policy "same-origin" always;',
        'add_header Cross-Origin-Resource-Policy "same-origin" always;',
    ]


def few_words(settings: Settings) -> list[str]:
    """Return the headers of an answer that is no page."""
    policy = "add_header Content-Security-Policy \"default-src 'none'; frame-ancestors 'none'\" always;"
    return [*headers(settings), policy]


def own_locations(settings: Settings) -> str:
    """Return the locations that every server has."""
    page = [
        *headers(settings),
        "add_header Vary Accept always;",
        "add_header Content-Security-Policy \"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\" always;",
        'add_header Permissions-Policy "interest-cohort=(), geolocation=(), camera=(), microphone=()" always;',
    ]
    blocks = [
        (
            "location = /gateway/healthz",
            ["access_log off;", *few_words(settings), "default_type text/plain;", 'return 200 "ok\\n";'],
        ),
        (
            "location = /gateway/maintenance",
            [
                "access_log off;",
                *few_words(settings),
                'content_by_lua_block { require("gateway.maintenance").say() }',
            ],
        ),
        (
            "location ^~ /gateway/",
            [*few_words(settings), "default_type text/plain;", 'return 404 "404 Not Found\\n";'],
        ),
        (
            "location = /.gateway/unavailable",
            [
                "internal;",
                *page,
                "etag off;",
                "if_modified_since off;",
                "max_ranges 0;",
                'content_by_lua_block { require("gateway.page").serve() }',
            ],
        ),
        (
            "location = /.gateway/refused",
            ["internal;", *few_words(settings), 'content_by_lua_block { require("gateway.refusal").serve() }'],
        ),
    ]
    return "\n".join(f"        {opening} {{\n{lines(12, body)}\n        }}" for opening, body in blocks)
