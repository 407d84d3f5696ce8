"""The history of order books."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_JSON = sa.Text().with_variant(postgresql.JSONB(), "postgresql")
_SUM = sa.Text().with_variant(sa.Numeric(38, 0), "postgresql")
_ASSET = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "order_book_levels",
        sa.Column("ledger_sequence", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.DateTime(), nullable=False),
        sa.Column("base_asset", _ASSET, nullable=False),
        sa.Column("counter_asset", _ASSET, nullable=False),
        sa.Column("base_asset_type", sa.Integer(), nullable=False),
        sa.Column("base_asset_code", sa.String(12), nullable=True),
        sa.Column("base_asset_issuer", sa.String(56), nullable=True),
        sa.Column("counter_asset_type", sa.Integer(), nullable=False),
        sa.Column("counter_asset_code", sa.String(12), nullable=True),
        sa.Column("counter_asset_issuer", sa.String(56), nullable=True),
        sa.Column("best_bid_n", sa.Integer(), nullable=True),
        sa.Column("best_bid_d", sa.Integer(), nullable=True),
        sa.Column("bids", _JSON, nullable=False),
        sa.Column("bid_offers", sa.BigInteger(), nullable=False),
        sa.Column("bid_amount", _SUM, nullable=False),
        sa.Column("best_ask_n", sa.Integer(), nullable=True),
        sa.Column("best_ask_d", sa.Integer(), nullable=True),
        sa.Column("asks", _JSON, nullable=False),
        sa.Column("ask_offers", sa.BigInteger(), nullable=False),
        sa.Column("ask_amount", _SUM, nullable=False),
        sa.Column("spread_n", sa.BigInteger(), nullable=True),
        sa.Column("spread_d", sa.BigInteger(), nullable=True),
        sa.Column("pool_id", sa.String(64), nullable=True),
        sa.Column("pool_reserve_base", sa.BigInteger(), nullable=True),
        sa.Column("pool_reserve_counter", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("base_asset", "counter_asset", "ledger_sequence"),
    )
    op.create_index("order_book_levels_by_ledger", "order_book_levels", ["ledger_sequence"])
