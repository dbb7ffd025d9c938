"""What has to change for the server to be as wanted: pure functions from its present state to statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from server import bulletin, room, scram, sql
from server.access import SUPERUSER
from server.wanted import GROUP, RECORDS, Login, Restore, Wanted

OWNER_CONNECTIONS = 10
RESERVED = "pg_use_reserved_connections"
APP_SETTINGS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}
# A migration's session that holds the lock sits idle, perhaps in a transaction, for as long as the migration takes.
OWNER_SETTINGS = {"idle_in_transaction_session_timeout": "1h"}
BACKUP_CONNECTIONS = 5
# The dump reads whatever there is, and large objects have no right that a role could be given once for all of them.
BACKUP_SETTINGS = {"lo_compat_privileges": "on", "default_transaction_read_only": "on"}
BACKUP_POWERS = frozenset({"bypassrls"})
RESTORE_CONNECTIONS = 10
# pg_restore's sessions, the one that keeps the role as it is, and some that are just ending.
LOADER_CONNECTIONS = 16
RESTORE_POWERS = frozenset({"createdb"})
ENDS_SESSIONS = "pg_signal_backend"
READS_EVERYTHING = "pg_read_all_data"
POWERS = ("super", "createdb", "createrole", "replication", "bypassrls")
POWER_WORDS = {"super": "SUPERUSER", **{power: power.upper() for power in POWERS[1:]}}
TABLE_RIGHTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
SEQUENCE_RIGHTS = frozenset({"SELECT", "USAGE"})
RECORD_RIGHTS = frozenset({"SELECT"})
RIGHTS = {"r": TABLE_RIGHTS, "S": SEQUENCE_RIGHTS}
RELATIONS = {"r": "TABLE", "p": "TABLE", "v": "TABLE", "m": "TABLE", "f": "TABLE", "S": "SEQUENCE"}
OWNED = {**RELATIONS, "v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE"}
PUBLIC = "PUBLIC"

State = Mapping[str, Any]
Acl = Mapping[str, Iterable[str]]


class Change(NamedTuple):
    """A statement, and what it does in words that hold no secret."""

    message: str
    statement: str


def grantee(role: str) -> str:
    """Return a role as GRANT has it."""
    return PUBLIC if role == PUBLIC else sql.name(role)


def rights(target: str, words: str, current: Acl, wanted: Mapping[str, Iterable[str]]) -> list[Change]:
    """Return what makes the named roles' rights on a target exactly the wanted ones; other roles keep theirs."""
    changes = []
    for role, those in wanted.items():
        want, have = frozenset(those), frozenset(current.get(role, ()))
        if have - want:
            listed = ", ".join(sorted(have - want))
            statement = f"REVOKE {listed} ON {target} FROM {grantee(role)} CASCADE"
            changes.append(Change(f"revoked {listed} on {words} from {role}", statement))
        if want - have:
            listed = ", ".join(sorted(want - have))
            changes.append(
                Change(f"granted {listed} on {words} to {role}", f"GRANT {listed} ON {target} TO {grantee(role)}")
            )
    return changes


def attributes(name: str, current: State, *, login: bool, limit: int, powers: frozenset[str]) -> list[Change]:
    """Return what gives an existing role its attributes."""
    words = []
    if current["login"] != login:
        words.append("LOGIN" if login else "NOLOGIN")
    if not current["inherit"]:
        words.append("INHERIT")
    words += [
        POWER_WORDS[power] if power in powers else f"NO{POWER_WORDS[power]}"
        for power in POWERS
        if current[power] != (power in powers)
    ]
    if current["limit"] != limit:
        words.append(f"CONNECTION LIMIT {limit}")
    if current["valid_until"] is not None:
        words.append("VALID UNTIL 'infinity'")
    if not words:
        return []
    return [Change(f"altered role {name}: {' '.join(words)}", f"ALTER ROLE {sql.name(name)} {' '.join(words)}")]


def role(
    name: str,
    roles: State,
    *,
    login: Login | None,
    limit: int,
    settings: Mapping[str, str],
    powers: frozenset[str] = frozenset(),
) -> list[Change]:
    """Return what makes one role as wanted: its attributes, password and settings."""
    changes: list[Change] = []
    current = roles.get(name)
    if current is None:
        kind = " ".join(["LOGIN" if login else "NOLOGIN", *(POWER_WORDS[power] for power in sorted(powers))])
        changes.append(
            Change(f"created role {name}", f"CREATE ROLE {sql.name(name)} {kind} INHERIT CONNECTION LIMIT {limit}")
        )
    else:
        changes += attributes(name, current, login=login is not None, limit=limit, powers=powers)
    stored = current["verifier"] if current else None
    if login is not None and not scram.matches(login.password, stored):
        verifier = sql.string(scram.new(login.password).render())
        message = f"{'changed' if stored else 'set'} the password of role {name}"
        changes.append(Change(message, f"ALTER ROLE {sql.name(name)} PASSWORD {verifier}"))
    if login is None and stored is not None:
        changes.append(Change(f"removed the password of role {name}", f"ALTER ROLE {sql.name(name)} PASSWORD NULL"))
    have = dict(item.split("=", 1) for item in (current["settings"] if current else ()))
    for key, value in settings.items():
        if have.get(key) != value:
            statement = f"ALTER ROLE {sql.name(name)} SET {key} = {sql.string(value)}"
            changes.append(Change(f"set {key} = {value} for role {name}", statement))
    # A role may leave settings with itself for sessions to come, and so may whoever got hold of its password.
    for key in sorted(have.keys() - settings.keys()):
        parameter = ".".join(sql.name(part) for part in key.split("."))
        changes.append(Change(f"reset {key} for role {name}", f"ALTER ROLE {sql.name(name)} RESET {parameter}"))
    for database in current["databases_with_settings"] if current else ():
        statement = f"ALTER ROLE {sql.name(name)} IN DATABASE {sql.name(database)} RESET ALL"
        changes.append(Change(f"reset every setting for role {name} in database {database}", statement))
    return changes


def memberships(member: str, current: Iterable[State], wanted: frozenset[str], *, only: bool) -> list[Change]:
    """Return what makes a role a member of the wanted ones, and of no others where `only` says so."""
    changes = []
    plain = set()
    for item in current:
        if item["member"] != member:
            continue
        bent = item["admin"] or not item["inherit"]
        if bent or (only and item["role"] not in wanted):
            if item["role"] in wanted or only:
                statement = f"REVOKE {sql.name(item['role'])} FROM {sql.name(member)} CASCADE"
                changes.append(Change(f"removed role {member} from {item['role']}", statement))
        else:
            plain.add(item["role"])
    for name in sorted(wanted - plain):
        statement = f"GRANT {sql.name(name)} TO {sql.name(member)}"
        changes.append(Change(f"made role {member} a member of {name}", statement))
    return changes


def cluster(state: State, wanted: Wanted) -> list[Change]:
    """Return what makes the roles as wanted."""
    roles = state["roles"]
    limit = max(1, state["max_connections"] - state["kept_connections"])
    changes = role(GROUP, roles, login=None, limit=-1, settings={})
    changes += role(
        wanted.owner.name, roles, login=wanted.owner, limit=OWNER_CONNECTIONS, settings=OWNER_SETTINGS
    )  # fmt: skip
    for login in wanted.app:
        changes += role(login.name, roles, login=login, limit=limit, settings=APP_SETTINGS)
    if wanted.backup:
        changes += role(
            wanted.backup.name,
            roles,
            login=wanted.backup,
            limit=BACKUP_CONNECTIONS,
            settings=BACKUP_SETTINGS,
            powers=BACKUP_POWERS,
        )
        only_reads = frozenset({READS_EVERYTHING})
        changes += memberships(wanted.backup.name, state["memberships"], only_reads, only=True)
        changes += tells_archive(wanted.backup.name, state["archive"])
    if wanted.restore:
        changes += restore(wanted.restore, wanted.owner.name, state)
    # The app may fill the server; the slots kept back let a migration in all the same.
    changes += memberships(wanted.owner.name, state["memberships"], frozenset({RESERVED}), only=False)
    changes += memberships(GROUP, state["memberships"], frozenset(), only=True)
    for login in wanted.app:
        changes += memberships(login.name, state["memberships"], frozenset({GROUP}), only=True)
    return changes


def restore(wanted: Restore, owner: str, state: State) -> list[Change]:
    """Return what makes the roles of restores as wanted.

    The admin makes, renames and drops databases (CREATEDB, and a member of their owner), hands over what the loader
    made (a member of it), and ends other roles' sessions. The loader may do nothing but log in.
    """
    admin, loader = wanted
    changes = role(loader.name, state["roles"], login=loader, limit=LOADER_CONNECTIONS, settings={})
    changes += memberships(loader.name, state["memberships"], frozenset(), only=True)
    changes += role(
        admin.name, state["roles"], login=admin, limit=RESTORE_CONNECTIONS, settings={}, powers=RESTORE_POWERS
    )
    groups = frozenset({owner, loader.name, ENDS_SESSIONS, RESERVED})
    changes += memberships(admin.name, state["memberships"], groups, only=True)
    return changes + tells_room(admin.name, state["room"])


def tells_room(admin: str, current: State | None) -> list[Change]:
    """Return what lets the restores' admin, and nobody else, ask how much room the server's disk has."""
    statement = offered(room.FUNCTION, "bigint", room.SOURCE, admin, current)
    return [Change(f"let {admin} ask how much room there is", statement)] if statement else []


def tells_archive(backup: str, current: State | None) -> list[Change]:
    """Return what lets the role of backups, and nobody else, ask how the archive is."""
    statement = offered(bulletin.FUNCTION, "text", bulletin.SOURCE, backup, current)
    return [Change(f"let {backup} ask how the archive is", statement)] if statement else []


def offered(function: str, kind: str, source: str, reader: str, current: State | None) -> str:
    """Return the statements that make a function which one role may call; empty where it is there as it should be."""
    acl = f"{{{SUPERUSER}=X/{SUPERUSER},{reader}=X/{SUPERUSER}}}"
    if current == {"source": source, "definer": True, "acl": acl}:
        return ""
    steps = (
        f"DROP FUNCTION IF EXISTS {function}",
        f"CREATE FUNCTION {function} RETURNS {kind} LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog "
        f"AS {sql.string(source)}",
        f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION {function} TO {sql.name(reader)}",
    )
    return "; ".join(steps)


def databases(state: State, wanted: Wanted) -> list[Change]:
    """Return what makes the database, and who may connect to each one."""
    changes = []
    logins: dict[str, Iterable[str]] = {login.name: () for login in wanted.app}
    backup: dict[str, Iterable[str]] = {wanted.backup.name: ()} if wanted.backup else {}
    restores: dict[str, Iterable[str]] = {login.name: () for login in wanted.restore or ()}
    owner, name = wanted.owner.name, sql.name(wanted.database)
    current = state["databases"].get(wanted.database)
    # A database that does not exist yet will have what PostgreSQL gives every new one.
    acl: Acl = {PUBLIC: ("CONNECT", "TEMPORARY")}
    if current is None:
        changes.append(
            Change(
                f"created database {wanted.database}",
                f"CREATE DATABASE {name} OWNER {sql.name(owner)} TEMPLATE template0 ENCODING 'UTF8'",
            )
        )
    else:
        acl = current["acl"]
        if current["owner"] != owner:
            message = f"gave database {wanted.database} to {owner}"
            changes.append(Change(message, f"ALTER DATABASE {name} OWNER TO {sql.name(owner)}"))
    those = {PUBLIC: (), GROUP: ("CONNECT",), **logins, **dict.fromkeys(backup, ("CONNECT",)), **restores}
    changes += rights(f"DATABASE {name}", f"database {wanted.database}", acl, those)
    # Advisory locks are per database: migrations and restores lock in this one, whichever database they are about.
    # And what the server tells of itself is asked there.
    asks = dict.fromkeys(backup, ("CONNECT",))
    locks = {PUBLIC: (), GROUP: (), owner: ("CONNECT",), **logins, **asks, **restores}
    if wanted.restore:
        locks[wanted.restore.admin.name] = ("CONNECT",)
    changes += rights(f"DATABASE {SUPERUSER}", f"database {SUPERUSER}", state["databases"][SUPERUSER]["acl"], locks)
    template = {PUBLIC: (), GROUP: (), **logins, **backup, **restores}
    changes += rights("DATABASE template1", "database template1", state["databases"]["template1"]["acl"], template)
    return changes


def contents(state: State, wanted: Wanted) -> list[Change]:
    """Return what makes schema public, what is in it, and what will be made in it, the owner's with DML for the app.

    The records of schema and releases are the exception, which the app may only read.
    """
    changes = []
    owner = wanted.owner.name
    nobody: dict[str, Iterable[str]] = {PUBLIC: (), **{login.name: () for login in wanted.app}}
    if state["schema"]["owner"] != owner:
        changes.append(Change(f"gave schema public to {owner}", f"ALTER SCHEMA public OWNER TO {sql.name(owner)}"))
    changes += rights("SCHEMA public", "schema public", state["schema"]["acl"], {**nobody, GROUP: ("USAGE",)})
    for kind, plural in (("r", "TABLES"), ("S", "SEQUENCES")):
        for change in rights(plural, plural.lower(), state["defaults"].get(kind, {}), {**nobody, GROUP: RIGHTS[kind]}):
            statement = f"ALTER DEFAULT PRIVILEGES FOR ROLE {sql.name(owner)} IN SCHEMA public {change.statement}"
            changes.append(Change(f"{change.message} that {owner} will make", statement.removesuffix(" CASCADE")))
    for item in state["relations"]:
        target, kind = f"public.{sql.name(item['name'])}", item["kind"]
        words = f"{OWNED[kind].lower()} {item['name']}"
        if item["owner"] != owner and not item["follows"]:
            statement = f"ALTER {OWNED[kind]} {target} OWNER TO {sql.name(owner)}"
            changes.append(Change(f"gave {words} to {owner}", statement))
        usual = SEQUENCE_RIGHTS if kind == "S" else TABLE_RIGHTS
        want = {**nobody, GROUP: RECORD_RIGHTS if item["name"] in RECORDS else usual}
        changes += rights(f"{RELATIONS[kind]} {target}", words, item["acl"], want)
    for item in state["routines"]:
        if item["owner"] != owner:
            statement = f"ALTER ROUTINE {item['signature']} OWNER TO {sql.name(owner)}"
            changes.append(Change(f"gave routine {item['signature']} to {owner}", statement))
    for item in state["types"]:
        if item["owner"] != owner:
            statement = f"ALTER TYPE public.{sql.name(item['name'])} OWNER TO {sql.name(owner)}"
            changes.append(Change(f"gave type {item['name']} to {owner}", statement))
    return changes
