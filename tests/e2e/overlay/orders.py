"""Orders of the prober, each of which has to be written down once"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0000probe"
down_revision = "HEAD"
branch_labels = None
depends_on = None

compatible = True


def upgrade() -> None:
    """Make the table; on purpose, no number has to be unique in it."""
    op.create_table(
        "probe_orders",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_probe_orders"),
    )
    op.create_index("ix_probe_orders_run", "probe_orders", ["run"])


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("probe_orders")
