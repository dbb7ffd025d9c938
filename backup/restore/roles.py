"""The two roles of restores: pure SQL for whoever makes a server's roles, passwords apart."""

from __future__ import annotations

from backup import sql
from restore import databases, scratch

ADMIN = "restore_admin"


def statements(owner: str, admin: str = ADMIN, loader: str = scratch.LOADER) -> tuple[str, ...]:
    """Return what makes both roles, neither of them a superuser, for databases that are that owner's.

    CREATEDB and being a member of the owner let the admin make, shut, rename and drop databases; being a member of the
    loader lets it hand over what that made; pg_signal_backend lets it end other roles' sessions in a database that it
    has shut, all but a superuser's. It takes the lock that migrations take in the server's own database.
    """
    name = sql.name(admin)
    return (
        f"CREATE ROLE {name} LOGIN NOSUPERUSER CREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT",
        *scratch.role(admin, loader),
        f"GRANT {sql.name(owner)}, pg_signal_backend TO {name}",
        f"GRANT CONNECT ON DATABASE {sql.name(databases.MAINTENANCE)} TO {name}",
    )
