"""The table of the history of order books."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, String, Text
from sqlalchemy.dialects import postgresql

from aurora_ingest.db.tables import METADATA

# SQLite has neither jsonb nor exact numbers beyond 64 bits; text keeps both as they are.
_JSON: Final = Text().with_variant(postgresql.JSONB(), "postgresql")
_SUM: Final = Text().with_variant(sa.Numeric(38, 0), "postgresql")


def _asset(name: str) -> Column[str]:
    """Returns the column of an asset as base64 XDR, compared byte by byte."""
    return Column(name, Text().with_variant(Text(collation="C"), "postgresql"), nullable=False)


def _parts(side: str) -> tuple[Column[Any], ...]:
    return (
        Column(f"{side}_asset_type", Integer(), nullable=False),
        Column(f"{side}_asset_code", String(12), nullable=True),
        Column(f"{side}_asset_issuer", String(56), nullable=True),
    )


def _side(side: str) -> tuple[Column[Any], ...]:
    return (
        Column(f"best_{side}_n", Integer(), nullable=True),
        Column(f"best_{side}_d", Integer(), nullable=True),
        Column(f"{side}s", _JSON, nullable=False),
        Column(f"{side}_offers", BigInteger(), nullable=False),
        Column(f"{side}_amount", _SUM, nullable=False),
    )


order_book_levels: Final = sa.Table(
    "order_book_levels",
    METADATA,
    Column("ledger_sequence", Integer(), nullable=False),
    Column("closed_at", DateTime(), nullable=False),
    _asset("base_asset"),
    _asset("counter_asset"),
    *_parts("base"),
    *_parts("counter"),
    *_side("bid"),
    *_side("ask"),
    Column("spread_n", BigInteger(), nullable=True),
    Column("spread_d", BigInteger(), nullable=True),
    Column("pool_id", String(64), nullable=True),
    Column("pool_reserve_base", BigInteger(), nullable=True),
    Column("pool_reserve_counter", BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint("base_asset", "counter_asset", "ledger_sequence"),
    Index("order_book_levels_by_ledger", "ledger_sequence"),
)
"""One row per pair of assets and ledger that changed what stands between them."""
