"""The roles that roles.json asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from server import scram
from server.error import StopError

GROUP = "app"
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# What migrations write about schema and releases: were the app to write there, it could say what it liked of both.
RECORDS = frozenset({"alembic_version", "releases", "releases_id_seq", "schema_steps"})
TAKEN = frozenset({"postgres", "public", "none", "template0", "template1", GROUP})


class Login(NamedTuple):
    """A role that logs in."""

    name: str
    password: str

    def __repr__(self) -> str:
        """Show the name alone: this can land in a traceback."""
        return f"Login({self.name!r})"


class Restore(NamedTuple):
    """The roles of restores: one makes and renames databases, one loads into what it is given."""

    admin: Login
    loader: Login


class Wanted(NamedTuple):
    """The database, its owner, the app's login roles, and, if any, those that back everything up and restore it."""

    database: str
    owner: Login
    app: tuple[Login, ...]
    backup: Login | None = None
    restore: Restore | None = None

    @property
    def logins(self) -> tuple[Login, ...]:
        """Every role that logs in."""
        return (self.owner, *self.app, *((self.backup,) if self.backup else ()), *(self.restore or ()))


def read(path: Path) -> Wanted:
    """Return what the file asks for; raise StopError, which never quotes a password, when it is unusable."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StopError(f"{path}: cannot read: {reason}. Mount roles.json there, or set ROLES_FILE") from None
    try:
        return parse(text)
    except ValueError as error:
        raise StopError(f"{path}: {error}") from None


def parse(text: str) -> Wanted:
    """Return what the text asks for; raise ValueError that names the place, what it got and what it wanted."""
    try:
        document = json.loads(text)
    except ValueError:
        raise ValueError("this is not JSON. Write the file again") from None
    top = fields(document, "roles.json", ("database", "owner", "app"), ("backup", "restore"))
    if not isinstance(top["app"], list) or not top["app"]:
        raise ValueError('app: wanted a list of {"name", "password"}, with at least one of them')
    wanted = Wanted(
        database=named(top["database"], "database"),
        owner=login(top["owner"], "owner"),
        app=tuple(login(item, f"app[{index}]") for index, item in enumerate(top["app"])),
        backup=login(top["backup"], "backup") if "backup" in top else None,
        restore=restore(top["restore"]) if "restore" in top else None,
    )
    names = [role.name for role in wanted.logins]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the role {name!r} is there {names.count(name)} times, wanted once: rename the others")
    return wanted


def fields(value: object, place: str, keys: tuple[str, ...], more: tuple[str, ...] = ()) -> dict[str, object]:
    """Return an object that has exactly these keys, and perhaps some more."""
    if not isinstance(value, dict):
        raise ValueError(f"{place}: wanted an object with {', '.join(keys)}")  # noqa: TRY004 - one error for callers
    if set(value) - set(more) != set(keys):
        got = ", ".join(sorted(value)) or "nothing"
        raise ValueError(f"{place}: got the keys {got}, wanted exactly {', '.join(keys)}")
    return value


def named(value: object, place: str) -> str:
    """Return a usable name."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError(f"{place}: got the name {value!r}, wanted lower-case letters, digits and _ (at most 63)")
    if value in TAKEN or value.startswith("pg_"):
        raise ValueError(
            f"{place}: the name {value!r} is taken: choose one that is not PostgreSQL's or the group's own"
        )
    return value


def restore(value: object) -> Restore:
    """Return the roles of restores."""
    both = fields(value, "restore", ("admin", "loader"))
    return Restore(login(both["admin"], "restore.admin"), login(both["loader"], "restore.loader"))


def login(value: object, place: str) -> Login:
    """Return a login role with a password that every client sends alike."""
    role = fields(value, place, ("name", "password"))
    password = role["password"]
    if not isinstance(password, str):
        raise ValueError(f"{place}.password: wanted a string")  # noqa: TRY004 - one error for callers
    try:
        scram.prepared(password)
    except ValueError as error:
        raise ValueError(f"{place}.password: {error}. Choose another password") from None
    return Login(named(role["name"], f"{place}.name"), password)
