"""What becomes of each table when a backup is restored: the one list, which the restore goes by.

What somebody did since the backup was made must not come undone by it where that would let the wrong person in: a code
that was used, a factor that was removed, an assertion that was consumed, a person who was disabled. And what let people
in when the backup was made must not do so again: a session that was ended, a door that was opened for an hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Way = Literal["replace", "add", "merge"]


@dataclass(frozen=True)
class Carried:
    """A table whose rows are carried from the database as it was into the one that a backup made.

    `replace`: the rows of before the restore take the place of the backup's, those of users who are there. `add`: rows
    whose key is not there are added in the order of the key. `merge`: rows that `where` chooses are added, or given
    their `columns` where they are there.
    """

    table: str
    key: tuple[str, ...]
    way: Way
    where: str = "true"
    columns: tuple[str, ...] = ()


# In the order in which they are carried: a row comes after what it refers to.
CARRIED = (
    Carried(
        "users", ("id",), "merge",
        where="disabled_at IS NOT NULL OR local",
        columns=("disabled_at", "email", "display_name", "roles", "local"),
    ),
    Carried("identities", ("issuer", "tenant", "object_id"), "add", where="user_id IN (SELECT id FROM users)"),
    Carried("passwords", ("user_id",), "replace"),
    Carried("totps", ("id",), "replace"),
    Carried("recovery_codes", ("digest",), "replace"),
    Carried("passkeys", ("id",), "replace"),
    Carried("consumed_messages", ("issuer", "message_id"), "add"),
    Carried("saml_certificates", ("entity_id", "fingerprint"), "merge", columns=("last_seen_at", "distrusted_at")),
    Carried("audit_events", ("id",), "add"),
)  # fmt: skip

# Emptied after a restore, once the rows above are in: nobody is signed in, nothing is open, nobody is locked out.
DROPPED = (
    "sessions",
    "pending_sign_ins",
    "saml_transactions",
    "challenges",
    "throttles",
    "break_glass_openings",
    "event_counts",
)

# Restored as they were in the backup; `users` is in part carried, and restored in all else.
RESTORED = ("alembic_version", "schema_steps", "releases", "saml_providers")
