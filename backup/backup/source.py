"""What the server and the database to back up are like, and whether a backup of them can be proven here."""

from __future__ import annotations

from typing import Any, NamedTuple

from backup import reading, sql
from backup.connection import Session
from backup.error import StopError
from backup.reading import Extension
from backup.tools import Tools

DATABASE = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
    pg_encoding_to_char(d.encoding), to_jsonb(d) FROM pg_database d WHERE d.datname = current_database()
"""
ROLES = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname"
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1"
# Some managed servers keep it to themselves.
IDENTIFIER = """SELECT CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
    THEN (SELECT system_identifier::text FROM pg_control_system()) ELSE '' END"""
PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin", "d": "libc"}
LISTED = 20


class Source(NamedTuple):
    """A server and one of its databases."""

    version_number: int
    version: str
    encoding: str
    provider: str
    collate: str
    ctype: str
    locale: str
    identifier: str
    schemas: tuple[str, ...]
    roles: tuple[str, ...]
    extensions: tuple[Extension, ...]

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.version_number // 10000


def bytes_of(session: Session) -> int:
    """Return how large the session's database is, with its indexes and what is dead in it."""
    ((found,),) = reading.rows(session, "SELECT pg_database_size(current_database())")
    return int(found)


def read(session: Session) -> Source:
    """Return what the session's server and database are like."""
    ((number, version, encoding, about),) = reading.rows(session, DATABASE)
    ((identifier,),) = reading.rows(session, IDENTIFIER)
    return Source(
        version_number=number,
        version=version,
        encoding=encoding,
        identifier=identifier,
        schemas=tuple(row[0] for row in reading.rows(session, SCHEMAS)),
        roles=tuple(row[0] for row in reading.rows(session, ROLES)),
        extensions=tuple(reading.extensions(session)),
        **locale(about),
    )


def locale(about: dict[str, Any]) -> dict[str, str]:
    """Return a database's locale from its row, whose columns were renamed from release to release."""
    return {
        "provider": PROVIDERS.get(str(about.get("datlocprovider", "c")), "libc"),
        "collate": str(about["datcollate"]),
        "ctype": str(about["datctype"]),
        "locale": str(about.get("datlocale") or about.get("daticulocale") or ""),
    }


def check(source: Source, tools: Tools) -> None:
    """Raise StopError when these tools cannot dump the server, or cannot restore what it has."""
    if source.major > tools.major:
        raise StopError(
            f"the server is PostgreSQL {source.version}, but the tools here are {tools.version}: they cannot dump a "
            f"newer major. Use a backup image with PostgreSQL {source.major}"
        )
    lacking = [extension.name for extension in source.extensions if extension.name not in tools.extensions]
    if lacking:
        raise StopError(
            f"the database has the extension {', '.join(lacking)}, which the PostgreSQL {tools.version} here lacks, so "
            f"no backup of it could be proven to restore. Add its package to the backup image"
        )


def check_readable(session: Session, user: str) -> None:
    """Raise StopError that lists everything the role may not read: a dump without it would be no backup."""
    hidden = reading.unreadable(session)
    if hidden:
        listed = ", ".join(hidden[:LISTED]) + (f" and {len(hidden) - LISTED} more" if len(hidden) > LISTED else "")
        role = sql.name(user)
        mend = [f"GRANT pg_read_all_data TO {role}"]
        if any("row-level security" in item for item in hidden):
            mend.append(f"ALTER ROLE {role} BYPASSRLS")
        if any(item.startswith("large object") for item in hidden):
            mend.append(f"ALTER ROLE {role} SET lo_compat_privileges = on")
        raise StopError(f"the role {user} cannot read: {listed}. As administrator: {'; '.join(mend)}")
