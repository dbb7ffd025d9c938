"""Who may sign in and how, who is signed in, and what happened about it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The release before knows of these tables only `users`, and reads no column that is less than it was.
compatible = True

NAMES = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)

# The rows are numbered and sealed one after the other: each seal covers the row and the seal before it, so that a row
# that is changed, missing or put in between shows. It depends on what is in the row alone: rows that a restore carries
# over in their order get the same numbers and seals again.
SEAL = """
CREATE FUNCTION audit_seal(row_to_seal audit_events, seal_before bytea) RETURNS bytea
LANGUAGE sql STABLE AS $$
SELECT sha256(coalesce(seal_before, ''::bytea) || convert_to(jsonb_build_array(
    row_to_seal.id, extract(epoch FROM row_to_seal.at), row_to_seal.event, row_to_seal.user_id, row_to_seal.method,
    row_to_seal.reason, row_to_seal.request_id, row_to_seal.address, row_to_seal.release, row_to_seal.detail
)::text, 'UTF8'))
$$
"""
ADD = """
CREATE FUNCTION audit_add() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    newest record;
BEGIN
    PERFORM pg_advisory_xact_lock('audit_events'::regclass::oid::bigint);
    SELECT id, seal INTO newest FROM audit_events ORDER BY id DESC LIMIT 1;
    NEW.id := coalesce(newest.id, 0) + 1;
    NEW.seal := audit_seal(NEW, newest.seal);
    INSERT INTO event_counts AS counted (event, method, reason, total)
    VALUES (NEW.event, coalesce(NEW.method, ''), coalesce(NEW.reason, ''), 1)
    ON CONFLICT (event, method, reason) DO UPDATE SET total = counted.total + 1;
    RETURN NEW;
END
$$
"""
KEEP = """
CREATE FUNCTION audit_keep() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$
"""
TRIGGERS = (
    "CREATE TRIGGER audit_add BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION audit_add()",
    "CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_keep()",
)


def of_user(table: str, *, primary: bool = False) -> list[sa.schema.SchemaItem]:
    """Return the column that says whose a row is; the row goes with its user."""
    return [
        sa.Column("user_id", sa.Uuid, nullable=False, primary_key=primary),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE", name=f"fk_{table}_user_id_users"),
    ]


def upgrade() -> None:
    """Make the tables, and let addresses be shared by people whom an identity provider knows."""
    change_users()
    make_identities()
    make_sessions()
    make_audit_log()
    make_passwords()
    make_factors()
    make_guards()


def change_users() -> None:
    """Add what is known of people; an address is needed and unique only for an account that signs in with it."""
    op.drop_index("uq_users_email_lower", "users")
    with op.batch_alter_table("users") as users:
        users.alter_column("email", existing_type=sa.String(254), nullable=True)
        users.add_column(sa.Column("display_name", sa.String(200)))
        users.add_column(sa.Column("roles", NAMES, server_default="[]", nullable=False))
        users.add_column(sa.Column("local", sa.Boolean, server_default=sa.false(), nullable=False))
    only_local = sa.text("local")
    op.create_index(
        "uq_users_email_lower", "users", [sa.text("lower(email)")], unique=True,
        postgresql_where=only_local, sqlite_where=only_local,
    )  # fmt: skip


def make_identities() -> None:
    """Make the table of whom identity providers know."""
    op.create_table(
        "identities",
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("object_id", sa.String(255), nullable=False),
        *of_user("identities"),
        sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "tenant", "object_id", name="pk_identities"),
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"])


def make_sessions() -> None:
    """Make the table of who is signed in."""
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        *of_user("sessions"),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("proved_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("idle_seconds", sa.Integer, nullable=False),
        sa.Column("issuer", sa.String(255)),
        sa.Column("name_id", sa.String(255)),
        sa.Column("session_index", sa.String(255)),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("digest", name="uq_sessions_digest"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_index("ix_sessions_name_id", "sessions", ["issuer", "name_id", "session_index"])


def make_audit_log() -> None:
    """Make the log, which nobody changes (whose right that is, `scaffold.records` sees to), and what counts."""
    op.create_table(
        "event_counts",
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("method", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("event", "method", "reason", name="pk_event_counts"),
    )
    op.create_table(
        "audit_events",
        # Numbered by the trigger: a sequence would leave gaps that look like rows taken out.
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.schema.FetchedValue(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Uuid),
        sa.Column("method", sa.String(64)),
        sa.Column("reason", sa.String(64)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("address", sa.String(45)),
        sa.Column("release", sa.String(128), nullable=False),
        sa.Column("detail", NAMES, nullable=False),
        sa.Column("seal", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_audit_events"),
    )
    op.create_index("ix_audit_events_user_id", "audit_events", ["user_id"])
    if op.get_context().dialect.name == "postgresql":
        for statement in (SEAL, ADD, KEEP, *TRIGGERS):
            op.execute(statement)


def make_passwords() -> None:
    """Make the tables of passwords, and of those who have given theirs and not yet the second factor."""
    op.create_table(
        "passwords",
        *of_user("passwords"),
        sa.Column("hash", sa.String(255), nullable=False),
        sa.Column("must_change", sa.Boolean, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
        sa.PrimaryKeyConstraint("user_id", name="pk_passwords"),
    )
    op.create_table(
        "pending_sign_ins",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        *of_user("pending_sign_ins"),
        sa.Column("factor", sa.String(16)),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_pending_sign_ins"),
    )
    op.create_index("ix_pending_sign_ins_user_id", "pending_sign_ins", ["user_id"])


def make_factors() -> None:
    """Make the tables of second factors."""
    op.create_table(
        "totps",
        sa.Column("id", sa.Uuid, nullable=False),
        *of_user("totps"),
        sa.Column("seed", sa.LargeBinary, nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("confirmed_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_totps"),
    )
    op.create_index("ix_totps_user_id", "totps", ["user_id"])
    op.create_table(
        "recovery_codes",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        *of_user("recovery_codes"),
        sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_recovery_codes"),
    )
    op.create_index("ix_recovery_codes_user_id", "recovery_codes", ["user_id"])
    op.create_table(
        "passkeys",
        sa.Column("id", sa.Uuid, nullable=False),
        *of_user("passkeys"),
        sa.Column("credential_id", sa.LargeBinary, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("transports", NAMES, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("used_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_passkeys"),
        sa.UniqueConstraint("credential_id", name="uq_passkeys_credential_id"),
    )
    op.create_index("ix_passkeys_user_id", "passkeys", ["user_id"])
    op.create_table(
        "challenges",
        sa.Column("id", sa.Uuid, nullable=False),
        *of_user("challenges"),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("bound_to", sa.LargeBinary, nullable=False),
        sa.Column("challenge", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_challenges"),
    )
    op.create_index("ix_challenges_user_id", "challenges", ["user_id"])
    op.create_index("ix_challenges_bound_to", "challenges", ["bound_to", "purpose"])


def make_guards() -> None:
    """Make the tables of those who guess, and of when passwords were let in."""
    op.create_table(
        "throttles",
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("scope", sa.String(32), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("locks", sa.Integer, nullable=False),
        sa.Column("blocked_until", TIME),
        sa.Column("changed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_throttles"),
    )
    op.create_index("ix_throttles_changed_at", "throttles", ["changed_at"])
    op.create_table(
        "break_glass_openings",
        sa.Column("id", sa.Uuid, nullable=False),
        *of_user("break_glass_openings"),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("closed_at", TIME),
        sa.Column("opened_by", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_break_glass_openings"),
    )
    op.create_index("ix_break_glass_openings_user_id", "break_glass_openings", ["user_id"])
    op.create_index("ix_break_glass_openings_until", "break_glass_openings", ["until"])


def downgrade() -> None:
    """Take the tables away, and give everybody an address of their own again, made up where there is none."""
    for table in (
        "break_glass_openings", "throttles", "challenges", "passkeys", "recovery_codes", "totps", "pending_sign_ins",
        "passwords", "audit_events", "event_counts", "sessions", "identities",
    ):  # fmt: skip
        if table == "audit_events" and op.get_context().dialect.name == "postgresql":
            op.execute("DROP FUNCTION audit_seal(audit_events, bytea)")
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_add()")
        op.execute("DROP FUNCTION audit_keep()")
    op.drop_index("uq_users_email_lower", "users")
    op.execute(
        "UPDATE users SET email = CAST(id AS VARCHAR(64)) || '@nobody.invalid' WHERE email IS NULL OR EXISTS (SELECT 1 "
        "FROM users AS other WHERE lower(other.email) = lower(users.email) AND other.id <> users.id) AND NOT local"
    )
    with op.batch_alter_table("users") as users:
        for column in ("local", "roles", "display_name"):
            users.drop_column(column)
        users.alter_column("email", existing_type=sa.String(254), nullable=False)
    op.create_index("uq_users_email_lower", "users", [sa.text("lower(email)")], unique=True)
