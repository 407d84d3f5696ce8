"""The first schema: the tables of a state, the cursor and the books of the builds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_JSON = sa.Text().with_variant(postgresql.JSONB(), "postgresql")


def _key(length: int | None = None) -> sa.types.TypeEngine[str]:
    """Returns a text type that is compared byte by byte."""
    if length is None:
        return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _index_of_few(name: str, table: str, columns: list[str]) -> None:
    """Makes an index of the rows that have its first column."""
    some = sa.text(f"{columns[0]} IS NOT NULL")
    op.create_index(name, table, columns, postgresql_where=some, sqlite_where=some)


def upgrade() -> None:
    """Creates everything."""
    op.create_table(
        "accounts",
        sa.Column("account_id", _key(56), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("buying_liabilities", sa.BigInteger(), nullable=False),
        sa.Column("selling_liabilities", sa.BigInteger(), nullable=False),
        sa.Column("sequence_number", sa.BigInteger(), nullable=False),
        sa.Column("num_subentries", sa.Integer(), nullable=False),
        sa.Column("inflation_destination", sa.String(length=56), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("home_domain", _key(128), nullable=False),
        sa.Column("master_weight", sa.SmallInteger(), nullable=False),
        sa.Column("threshold_low", sa.SmallInteger(), nullable=False),
        sa.Column("threshold_medium", sa.SmallInteger(), nullable=False),
        sa.Column("threshold_high", sa.SmallInteger(), nullable=False),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=False),
        sa.Column("sponsor", _key(), nullable=True),
        sa.Column("num_sponsored", sa.Integer(), nullable=True),
        sa.Column("num_sponsoring", sa.Integer(), nullable=True),
        sa.Column("sequence_ledger", sa.Integer(), nullable=True),
        sa.Column("sequence_time", sa.BigInteger(), nullable=True),
        sa.Column("home_domain_bytes", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("account_id"),
    )
    _index_of_few("accounts_by_sponsor", "accounts", ["sponsor"])
    named = sa.text("home_domain <> ''")
    op.create_index("accounts_by_home_domain", "accounts", ["home_domain"], postgresql_where=named, sqlite_where=named)
    op.create_table(
        "accounts_data",
        sa.Column("ledger_key", _key(150), nullable=False),
        sa.Column("account_id", _key(56), nullable=False),
        sa.Column("name", _key(256), nullable=False),
        sa.Column("value", sa.String(length=90), nullable=False),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=False),
        sa.Column("sponsor", _key(), nullable=True),
        sa.Column("name_bytes", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("ledger_key"),
    )
    op.create_index("accounts_data_account_id_name", "accounts_data", ["account_id", "name"])
    _index_of_few("accounts_data_by_sponsor", "accounts_data", ["sponsor"])
    op.create_table(
        "accounts_signers",
        sa.Column("account_id", _key(64), nullable=False),
        sa.Column("signer", _key(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("sponsor", _key(), nullable=True),
        sa.PrimaryKeyConstraint("signer", "account_id"),
    )
    op.create_index("accounts_signers_by_account", "accounts_signers", ["account_id"])
    _index_of_few("accounts_signers_by_sponsor", "accounts_signers", ["sponsor"])
    op.create_table(
        "asset_contracts",
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("contract_id", sa.LargeBinary(), nullable=False),
        sa.Column("asset_type", sa.Integer(), nullable=False),
        sa.Column("asset_code", _key(48), nullable=False),
        sa.Column("asset_issuer", _key(56), nullable=False),
        sa.Column("expiration_ledger", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash"),
    )
    op.create_index("asset_contracts_by_contract_id", "asset_contracts", ["contract_id"])
    op.create_index("asset_contracts_by_expiration", "asset_contracts", ["expiration_ledger"])
    op.create_table(
        "claimable_balance_claimants",
        sa.Column("id", _key(), nullable=False),
        sa.Column("destination", _key(56), nullable=False),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("destination", "id"),
    )
    op.create_index(
        "claimable_balance_claimants_by_ledger",
        "claimable_balance_claimants",
        ["destination", "last_modified_ledger", "id"],
        unique=False,
    )
    op.create_table(
        "claimable_balances",
        sa.Column("id", _key(), nullable=False),
        sa.Column("claimants", _JSON, nullable=False),
        sa.Column("asset", _key(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("sponsor", _key(), nullable=True),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("predicates", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("claimable_balances_by_asset", "claimable_balances", ["asset"])
    _index_of_few(
        "claimable_balances_by_sponsor_and_ledger", "claimable_balances", ["sponsor", "last_modified_ledger", "id"]
    )
    op.create_table(
        "config_settings",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value_xdr", sa.LargeBinary(), nullable=False),
        sa.Column("value", _JSON, nullable=False),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=False),
        sa.Column("as_of_checkpoint", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "contract_asset_balances",
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("asset_contract_id", sa.LargeBinary(), nullable=False),
        sa.Column("amount", sa.Text().with_variant(sa.Numeric(precision=39, scale=0), "postgresql"), nullable=False),
        sa.Column("expiration_ledger", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash"),
    )
    op.create_index("contract_asset_balances_by_expiration", "contract_asset_balances", ["expiration_ledger"])
    op.create_table(
        "contract_asset_stats",
        sa.Column("contract_id", sa.LargeBinary(), nullable=False),
        sa.Column("stat", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("contract_id"),
    )
    op.create_table(
        "contract_code",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("code_size", sa.Integer(), nullable=False),
        sa.Column("ext_version", sa.Integer(), nullable=False),
        sa.Column("n_instructions", sa.BigInteger(), nullable=True),
        sa.Column("n_functions", sa.BigInteger(), nullable=True),
        sa.Column("n_globals", sa.BigInteger(), nullable=True),
        sa.Column("n_table_entries", sa.BigInteger(), nullable=True),
        sa.Column("n_types", sa.BigInteger(), nullable=True),
        sa.Column("n_data_segments", sa.BigInteger(), nullable=True),
        sa.Column("n_elem_segments", sa.BigInteger(), nullable=True),
        sa.Column("n_imports", sa.BigInteger(), nullable=True),
        sa.Column("n_exports", sa.BigInteger(), nullable=True),
        sa.Column("n_data_segment_bytes", sa.BigInteger(), nullable=True),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "contract_data",
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("contract", _key(), nullable=False),
        sa.Column("contract_id", sa.LargeBinary(), nullable=True),
        sa.Column("key_type", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("durability", sa.Text(), nullable=False),
        sa.Column("value_type", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash"),
    )
    op.create_index("contract_data_by_contract", "contract_data", ["contract"])
    op.create_table(
        "exp_asset_stats",
        sa.Column("asset_type", sa.Integer(), nullable=False),
        sa.Column("asset_code", _key(48), nullable=False),
        sa.Column("asset_issuer", _key(56), nullable=False),
        sa.Column("accounts", _JSON, nullable=False),
        sa.Column("balances", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("asset_code", "asset_issuer", "asset_type"),
    )
    op.create_index("exp_asset_stats_by_issuer", "exp_asset_stats", ["asset_issuer"])
    op.create_table(
        "ingest_build_backends",
        sa.Column("build_id", sa.String(length=64), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("build_id", "pid", "started"),
    )
    op.create_table(
        "ingest_build_heartbeats",
        sa.Column("build_id", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("beat_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("build_id"),
    )
    op.create_table(
        "ingest_build_receipts",
        sa.Column("build_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("build_id", "kind", "unit"),
    )
    op.create_table(
        "ingest_builds",
        sa.Column("build_id", sa.String(length=64), nullable=False),
        sa.Column("checkpoint", sa.BigInteger(), nullable=False),
        sa.Column("ledger_hash", sa.String(length=64), nullable=False),
        sa.Column("network_passphrase", sa.Text(), nullable=False),
        sa.Column("tables", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("build_id"),
    )
    op.create_table(
        "key_value_store",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "liquidity_pools",
        sa.Column("id", _key(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("fee", sa.Integer(), nullable=False),
        sa.Column("trustline_count", sa.BigInteger(), nullable=False),
        sa.Column("share_count", sa.BigInteger(), nullable=False),
        sa.Column("asset_reserves", _JSON, nullable=False),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("liquidity_pools_by_ledger", "liquidity_pools", ["last_modified_ledger"])
    op.create_table(
        "offers",
        sa.Column("seller_id", _key(56), nullable=False),
        sa.Column("offer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("selling_asset", _key(), nullable=False),
        sa.Column("buying_asset", _key(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("pricen", sa.Integer(), nullable=False),
        sa.Column("priced", sa.Integer(), nullable=False),
        sa.Column("price", sa.Double(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=True),
        sa.Column("sponsor", _key(), nullable=True),
        sa.PrimaryKeyConstraint("offer_id"),
    )
    op.create_index("offers_by_buying_asset", "offers", ["buying_asset"])
    op.create_index("offers_by_last_modified_ledger", "offers", ["last_modified_ledger"])
    op.create_index("offers_by_price", "offers", ["selling_asset", "buying_asset", "price", "offer_id"])
    op.create_index("offers_by_seller", "offers", ["seller_id"])
    _index_of_few("offers_by_sponsor", "offers", ["sponsor"])
    op.create_table(
        "trust_lines",
        sa.Column("ledger_key", _key(150), nullable=False),
        sa.Column("account_id", _key(56), nullable=False),
        sa.Column("asset_type", sa.Integer(), nullable=False),
        sa.Column("asset_issuer", _key(56), nullable=False),
        sa.Column("asset_code", _key(48), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("trust_line_limit", sa.BigInteger(), nullable=False),
        sa.Column("buying_liabilities", sa.BigInteger(), nullable=False),
        sa.Column("selling_liabilities", sa.BigInteger(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=False),
        sa.Column("sponsor", _key(), nullable=True),
        sa.Column("liquidity_pool_id", _key(), nullable=True),
        sa.PrimaryKeyConstraint("ledger_key"),
    )
    op.create_index("trust_lines_by_account_id", "trust_lines", ["account_id"])
    _index_of_few("trust_lines_by_liquidity_pool_id", "trust_lines", ["liquidity_pool_id"])
    _index_of_few("trust_lines_by_sponsor", "trust_lines", ["sponsor"])
    op.create_index("trust_lines_by_asset", "trust_lines", ["asset_issuer", "asset_code", "asset_type"])
    op.create_table(
        "ttl",
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("live_until_ledger", sa.BigInteger(), nullable=False),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash"),
    )
    op.create_index("ttl_by_live_until", "ttl", ["live_until_ledger"])
