"""Database URLs, as SQLAlchemy and libpq have them."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from server import psql

SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")
WANTED = "postgresql+psycopg://user:password@host:5432/database"
ENCODE = "percent-encode it there (@ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25)"
HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.]+)?\]|[^:\[\]]*)(?::(?P<port>[0-9]*))?")
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Target(NamedTuple):
    """Where a URL leads; the password shows up in no representation of it."""

    user: str
    password: str
    hosts: tuple[str, ...]
    ports: tuple[str, ...]
    database: str
    parameters: dict[str, str]

    def __repr__(self) -> str:
        """Show where it leads, without the password."""
        places = ",".join(f"{host}:{port}" for host, port in zip(self.hosts, self.ports, strict=True))
        return f"{self.user}@{places}/{self.database}"

    def connection(self, database: str | None = None) -> psql.Connection:
        """Return the connection to this database, or to another one on the same server."""
        keywords = {
            "connect_timeout": "10",
            **self.parameters,
            "host": ",".join(self.hosts),
            "port": ",".join(self.ports),
            "user": self.user,
            "dbname": database or self.database,
        }
        return psql.Connection(psql.conninfo(keywords), self.password)


def decoded(text: str, what: str) -> str:
    """Return the text with its percent escapes resolved; raise ValueError, which does not quote it, for a bad one."""
    if BAD_ESCAPE.search(text):
        raise ValueError(f"its {what} has a % that starts no escape: {ENCODE}")
    try:
        result = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"its {what} is not UTF-8 when decoded: {ENCODE}") from None
    if any(character in result for character in "\0\r\n"):
        raise ValueError(f"its {what} has a line break or NUL, which no client can send: choose another")
    return result


def parse(text: str) -> Target:
    """Return where a URL leads.

    Raise ValueError, which quotes no part that may be the password, when it is not a complete database URL.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        raise ValueError(f"this is not a URL: wanted {WANTED}")
    if scheme not in SCHEMES:
        raise ValueError(f"got the scheme {scheme!r}, wanted one of {', '.join(SCHEMES)}: write {WANTED}")
    if "#" in rest:
        raise ValueError(f"it has a # that is not encoded; if it is in the password, {ENCODE}")
    before, question, query = rest.partition("?")
    if "@" in query:
        raise ValueError(f"it has an @ after its ?; if they are in the password, {ENCODE}")
    authority, _, path = before.partition("/")
    if "@" in path:
        raise ValueError(f"it has an @ after its first /; if they are in the password, {ENCODE}")
    if authority.count("@") > 1:
        raise ValueError(f"it has more than one @; if one is in the password, {ENCODE}")
    login, at, place = authority.rpartition("@")
    user, _, password = login.partition(":")
    parameters = options(query) if question else {}
    secret = decoded(password, "password") or parameters.pop("password", "")
    if not at or not user or not secret:
        missing = "user" if not user else "password"
        raise ValueError(f"it names no {missing}: wanted {WANTED}")
    hosts, ports = places(place, parameters.pop("host", ""), parameters.pop("port", ""))
    database = parameters.pop("dbname", "") or decoded(path, "database")
    if not database:
        raise ValueError(f"it names no database: wanted {WANTED}")
    parameters.pop("user", None)
    parameters.pop("passfile", None)
    return Target(decoded(user, "user"), secret, hosts, ports, database, parameters)


def places(text: str, host: str, port: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the hosts and their ports from a URL's authority and its parameters `host` and `port`."""
    hosts, ports = [], []
    for item in text.split(",") if text else []:
        found = HOST.fullmatch(item)
        if not found or not (found["port"] or "1").isdigit() or not 0 < int(found["port"] or "5432") < 65536:
            raise ValueError(f"got the host {item!r}, wanted a name or address and a port from 1 to 65535: {WANTED}")
        hosts.append(decoded(found["host"].strip("[]"), "host"))
        ports.append(found["port"] or "5432")
    for item in host.split(",") if host else []:
        # SQLAlchemy writes several hosts as host=a:5432&host=b:5433; a path is a socket's folder.
        name, _, number = (item, "", "") if item.startswith("/") or item.count(":") > 1 else item.partition(":")
        hosts.append(name)
        ports.append(number or "5432")
    if port:
        given = port.split(",")
        ports = given * len(hosts) if len(given) == 1 else given
    if not hosts or not all(hosts) or len(hosts) != len(ports):
        raise ValueError(f"it names no host, or not a port for each: wanted {WANTED}")
    return tuple(hosts), tuple(ports)


def options(query: str) -> dict[str, str]:
    """Return the parameters after the ?; several of one name are joined by commas, as libpq lists hosts."""
    parameters: dict[str, str] = {}
    for item in query.split("&"):
        if not item:
            continue
        key, equals, value = item.partition("=")
        if not equals or not re.fullmatch(r"[a-z_]+", key):
            raise ValueError("got a parameter after the ? that is not name=value: wanted such as sslmode=require")
        clear = decoded(value, f"parameter {key}")
        parameters[key] = f"{parameters[key]},{clear}" if key in parameters else clear
    return parameters
