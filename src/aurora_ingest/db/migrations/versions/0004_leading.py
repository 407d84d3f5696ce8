"""The books of leading: who wrote which ledger, and the nodes that follow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the books."""
    op.create_table(
        "ingest_commits",
        sa.Column("ledger", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("committed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("ledger"),
    )
    op.create_table(
        "ingest_nodes",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("led", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("node"),
    )
