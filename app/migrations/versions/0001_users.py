"""The people who may sign in, and the record of schema steps"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

compatible = False


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "schema_steps",
        sa.Column("revision", sa.String(32), nullable=False),
        sa.Column("follows", sa.String(32)),
        sa.Column("compatible", sa.Boolean, nullable=False),
        sa.Column("release", sa.String(128), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_schema_steps"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
    )
    op.create_index("uq_users_email_lower", "users", [sa.text("lower(email)")], unique=True)


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("users")
    op.drop_table("schema_steps")
