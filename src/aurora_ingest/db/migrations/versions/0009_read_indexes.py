"""Indexes of the state tables that end with the key by which the service pages."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_WIDER: Final = (
    ("trust_lines_by_asset", "trust_lines", ["asset_issuer", "asset_code", "asset_type", "account_id"]),
    ("offers_by_seller", "offers", ["seller_id", "offer_id"]),
    ("offers_by_buying_asset", "offers", ["buying_asset", "offer_id"]),
    ("claimable_balances_by_asset", "claimable_balances", ["asset", "last_modified_ledger", "id"]),
    ("exp_asset_stats_by_issuer", "exp_asset_stats", ["asset_issuer", "asset_code"]),
)
_WIDER_OF_FEW: Final = (
    ("accounts_by_sponsor", "accounts", ["sponsor", "account_id"]),
    ("accounts_signers_by_sponsor", "accounts_signers", ["sponsor", "account_id"]),
    ("accounts_data_by_sponsor", "accounts_data", ["sponsor", "account_id"]),
    ("trust_lines_by_sponsor", "trust_lines", ["sponsor", "account_id"]),
    ("offers_by_sponsor", "offers", ["sponsor", "offer_id"]),
)
_NEW: Final = (
    ("offers_by_selling_asset", "offers", ["selling_asset", "offer_id"]),
    ("claimable_balances_by_ledger", "claimable_balances", ["last_modified_ledger", "id"]),
    ("asset_contracts_by_asset", "asset_contracts", ["asset_code", "asset_issuer"]),
    ("asset_contracts_by_issuer", "asset_contracts", ["asset_issuer", "asset_code"]),
)


def upgrade() -> None:
    """Makes them, in the place of narrower ones of the same names."""
    for name, table, columns in (*_WIDER, *_WIDER_OF_FEW):
        op.drop_index(name, table)
        some = sa.text(f"{columns[0]} IS NOT NULL") if (name, table, columns) in _WIDER_OF_FEW else None
        op.create_index(name, table, columns, postgresql_where=some, sqlite_where=some)
    shares = sa.text("liquidity_pool_id <> ''")  # trust lines of assets have an empty one, as in Horizon's table
    op.drop_index("trust_lines_by_liquidity_pool_id", "trust_lines")
    op.create_index(
        "trust_lines_by_liquidity_pool_id",
        "trust_lines",
        ["liquidity_pool_id", "account_id"],
        postgresql_where=shares,
        sqlite_where=shares,
    )
    for name, table, columns in _NEW:
        op.create_index(name, table, columns)
    op.create_index(
        "liquidity_pools_by_reserves",
        "liquidity_pools",
        ["asset_reserves"],
        postgresql_using="gin",
        postgresql_ops={"asset_reserves": "jsonb_path_ops"},
    )
