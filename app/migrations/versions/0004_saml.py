"""Signing in through an identity provider"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

compatible = True


def upgrade() -> None:
    """Make the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "saml_transactions",
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("browser", sa.LargeBinary, nullable=False),
        sa.Column("relay_state", sa.String(64), nullable=False),
        sa.Column("return_path", sa.String(2000), nullable=False),
        sa.Column("former_session", sa.LargeBinary),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("consumed_at", moment),
        sa.PrimaryKeyConstraint("request_id", name="pk_saml_transactions"),
    )
    op.create_index("ix_saml_transactions_expires_at", "saml_transactions", ["expires_at"])
    op.create_table(
        "consumed_messages",
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("message_id", sa.String(256), nullable=False),
        sa.Column("kept_until", moment, nullable=False),
        sa.PrimaryKeyConstraint("issuer", "message_id", name="pk_consumed_messages"),
    )
    op.create_index("ix_consumed_messages_kept_until", "consumed_messages", ["kept_until"])
    op.create_table(
        "saml_providers",
        sa.Column("entity_id", sa.String(255), nullable=False),
        sa.Column("sso_url", sa.Text),
        sa.Column("slo_url", sa.Text),
        sa.Column("fetched_at", moment),
        sa.Column("next_fetch_at", moment, nullable=False),
        sa.Column("problem", sa.String(500)),
        sa.PrimaryKeyConstraint("entity_id", name="pk_saml_providers"),
    )
    op.create_table(
        "saml_certificates",
        sa.Column("entity_id", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("pem", sa.Text, nullable=False),
        sa.Column("ends_at", moment, nullable=False),
        sa.Column("first_seen_at", moment, nullable=False),
        sa.Column("last_seen_at", moment, nullable=False),
        sa.Column("distrusted_at", moment),
        sa.PrimaryKeyConstraint("entity_id", "fingerprint", name="pk_saml_certificates"),
    )


def downgrade() -> None:
    """Remove the tables."""
    for table in ("saml_certificates", "saml_providers", "consumed_messages", "saml_transactions"):
        op.drop_table(table)
