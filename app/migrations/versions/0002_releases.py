"""The ledger of releases"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

compatible = True

OUTCOMES = (
    "migrating",
    "migrated",
    "migration failed",
    "interrupted",
    "serving",
    "replaced",
    "not taken",
    "downgrading",
    "downgraded",
)


def upgrade() -> None:
    """Make the table; that nobody but the owner writes it is seen to after every upgrade (`scaffold.records`)."""
    listed = ", ".join(f"'{outcome}'" for outcome in OUTCOMES)
    op.create_table(
        "releases",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("release", sa.String(128), nullable=False),
        sa.Column("digest", sa.String(256)),
        sa.Column("revision", sa.String(128)),
        sa.Column("started_by", sa.String(128)),
        sa.Column("bundle", sa.String(128)),
        sa.Column("schema_before", sa.String(128)),
        sa.Column("schema_after", sa.String(128)),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("served_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
        sa.CheckConstraint(f"outcome IN ({listed})", name="ck_releases_outcome"),
    )
    # At most one release serves.
    op.create_index(
        "uq_releases_serving",
        "releases",
        ["outcome"],
        unique=True,
        postgresql_where=sa.text("outcome = 'serving'"),
        sqlite_where=sa.text("outcome = 'serving'"),
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("releases")
