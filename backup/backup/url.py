"""Database URLs, as SQLAlchemy and libpq have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from backup import setting
from backup.error import StopError

SETTINGS = ("DATABASE_URL", "SQLALCHEMY_DATABASE_URI")
WANTED = "postgresql+psycopg://user:password@host:5432/database"
ENCODE = "percent-encode it there (@ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25)"
DRIVERS = ("", "psycopg", "psycopg2")
LOGIN = re.compile(r"(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@(?P<rest>.*)", re.DOTALL)
SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,30}")
HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.]+)?\]|[^:\[\]@]*)(?::(?P<port>[0-9]*))?")


class Postgres(NamedTuple):
    """A PostgreSQL database; its password shows up in no representation of it."""

    keywords: dict[str, str]
    password: str | None

    def __repr__(self) -> str:
        """Show where it leads, without the password."""
        return f"{self.keywords.get('user', '')}@{self.keywords.get('host', '')}/{self.database}"

    @property
    def database(self) -> str:
        """The database's name."""
        return self.keywords["dbname"]

    def conninfo(self) -> str:
        """Return libpq's connection string, without the password."""
        return make_conninfo("", **{"connect_timeout": "10", **self.keywords})


class Sqlite(NamedTuple):
    """An SQLite database in a file."""

    path: Path

    @property
    def database(self) -> str:
        """The database's name: that of its file."""
        return self.path.stem or "database"


Target = Postgres | Sqlite


def find(environ: Mapping[str, str]) -> Target:
    """Return where the configured URL leads; raise StopError, which quotes no part that may be a password."""
    for name in SETTINGS:
        text = setting.read(name, environ)
        if text:
            try:
                return parse(text)
            except ValueError as error:
                raise StopError(f"{name}: {error}") from None
    raise StopError(
        f"No database URI found: neither {SETTINGS[0]} nor {SETTINGS[1]} is set. "
        f"Set {SETTINGS[0]}_FILE to a file with {WANTED}"
    )


def parse(text: str) -> Target:
    """Return where a URL leads; raise ValueError, which quotes no part that may be a password, when it is unusable."""
    text = text.strip()
    if any(character in text for character in "\0\r\n"):
        raise ValueError(f"it has a line break or NUL: wanted {WANTED} in one line")
    scheme, separator, rest = text.partition("://")
    if not separator or not SCHEME.fullmatch(scheme):
        return of_keywords(text)
    base, _, driver = scheme.partition("+")
    if base == "sqlite" and driver in ("", "pysqlite"):
        return sqlite(rest)
    if base not in ("postgresql", "postgres") or driver not in DRIVERS:
        raise ValueError(f"got the scheme {scheme!r}, wanted postgresql+psycopg, postgresql or sqlite: {WANTED}")
    if "#" in rest:
        raise ValueError(f"it has a # that is not encoded; if it is in the password, {ENCODE}")
    login = LOGIN.fullmatch(rest)
    place = login["rest"] if login else rest
    if "@" in place:
        raise ValueError(f"it has more than one @; if one is in the password, {ENCODE}")
    authority, _, tail = place.partition("/")
    if "?" in authority:
        authority, _, query = authority.partition("?")
        path = ""
    else:
        path, _, query = tail.partition("?")
    keywords = parameters(query)
    password = decoded(login["password"], "password") if login and login["password"] else None
    if login and login["user"]:
        keywords["user"] = decoded(login["user"], "user")
    if path:
        keywords["dbname"] = decoded(path, "database")
    return checked(places(authority, keywords), password)


def of_keywords(text: str) -> Postgres:
    """Return where libpq's keyword=value form leads."""
    try:
        given = conninfo_to_dict(text)
    except psycopg.Error:
        # libpq's words quote what they stumble over, which may be the password.
        raise ValueError(f"this is neither a URL nor libpq's keyword=value form: wanted {WANTED}") from None
    return checked({key: str(value) for key, value in given.items()}, None)


def checked(keywords: dict[str, str], password: str | None) -> Postgres:
    """Return the database that these keywords of libpq lead to."""
    # Given twice, the one before the @ counts: SQLAlchemy and libpq have it so.
    inside = keywords.pop("password", None)
    if keywords.get("sslpassword"):
        raise ValueError("it has sslpassword, which programs would be given in the open: use a key file without one")
    if not keywords.get("dbname"):
        raise ValueError(f"it names no database: wanted {WANTED}")
    if not keywords.get("user"):
        raise ValueError(f"it names no user: wanted {WANTED}")
    try:
        make_conninfo("", **keywords)
    except psycopg.Error as error:
        raise ValueError(f"libpq does not take its parameters: {' '.join(str(error).split())}") from None
    return Postgres(keywords, password or inside)


def sqlite(rest: str) -> Sqlite:
    """Return the SQLite file of what follows sqlite://, with three slashes relative and with four absolute."""
    path = unquote(rest.partition("?")[0])
    if not path.startswith("/") or path in ("/", "/:memory:"):
        raise ValueError("it names no SQLite file: wanted sqlite:////absolute/path.db")
    return Sqlite(Path(path[1:]))


def decoded(text: str, what: str) -> str:
    """Return the text with its percent escapes resolved; a % that starts none stands for itself, as in SQLAlchemy."""
    try:
        result = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"its {what} is not UTF-8 when decoded: {ENCODE}") from None
    if any(character in result for character in "\0\r\n"):
        raise ValueError(f"its {what} has a line break or NUL, which no client can send: choose another")
    return result


def parameters(query: str) -> dict[str, str]:
    """Return the parameters after the ?; several of one name are joined by commas, as libpq lists hosts."""
    found: dict[str, str] = {}
    for item in query.split("&"):
        if not item:
            continue
        key, equals, value = item.partition("=")
        if not equals or not re.fullmatch(r"[a-z_]+", key):
            raise ValueError("got a parameter after the ? that is not name=value: wanted such as sslmode=require")
        clear = decoded(value, f"parameter {key}")
        found[key] = f"{found[key]},{clear}" if key in found else clear
    return found


def places(authority: str, keywords: dict[str, str]) -> dict[str, str]:
    """Return the keywords with hosts and ports, each host with its own, from the authority and the parameters."""
    hosts, ports = [], []
    for item in authority.split(",") if authority else []:
        found = HOST.fullmatch(item)
        if not found or not 0 < int(found["port"] or "5432") < 65536:
            raise ValueError(f"got the host {item!r}, wanted a name or address and a port from 1 to 65535: {WANTED}")
        hosts.append(decoded(found["host"].strip("[]"), "host"))
        ports.append(found["port"] or "")
    # SQLAlchemy writes several hosts as host=a:5432&host=b:5433; a path is a socket's folder.
    given = keywords.get("host", "")
    for item in given.split(",") if given else []:
        name, _, number = (item, "", "") if item.startswith("/") or item.count(":") > 1 else item.partition(":")
        hosts.append(name)
        ports.append(number)
    placed = dict(keywords)
    if hosts:
        placed["host"] = ",".join(hosts)
    if any(ports):
        placed["port"] = ",".join(port or "5432" for port in ports)
    return placed
