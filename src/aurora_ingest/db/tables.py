"""The tables of a state, Horizon's under its names and ours beside them, and the cursor's."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, SmallInteger, String, Text
from sqlalchemy.dialects import postgresql

METADATA: Final = sa.MetaData()

# SQLite has neither jsonb nor exact numbers beyond 64 bits; text keeps both as they are.
_JSON: Final = Text().with_variant(postgresql.JSONB(), "postgresql")
_NUMERIC: Final = Text().with_variant(sa.Numeric(), "postgresql")
_AMOUNT: Final = Text().with_variant(sa.Numeric(39, 0), "postgresql")
_FLOAT: Final[Double[float]] = Double()


def _key(name: str, kind: String | Text) -> Column[str]:
    """Returns a text column of a primary key; it is compared byte by byte, which needs no locale."""
    in_postgres = type(kind)(kind.length, collation="C")
    return Column(name, kind.with_variant(in_postgres, "postgresql"), primary_key=True, nullable=False)


def _need(name: str, kind: sa.types.TypeEngine[Any]) -> Column[object]:
    return Column(name, kind, nullable=False)


def _may(name: str, kind: sa.types.TypeEngine[Any]) -> Column[object]:
    return Column(name, kind, nullable=True)


def _sought(name: str, kind: String | Text, *, nullable: bool = False) -> Column[str]:
    """Returns a text column of an index, compared byte by byte like a key."""
    in_postgres = type(kind)(kind.length, collation="C")
    return Column(name, kind.with_variant(in_postgres, "postgresql"), nullable=nullable)


def _of_few(name: str, column: str, *more: str) -> Index:
    """Returns an index of the rows that have the column at all: few do, and only those are sought by it."""
    some = sa.text(f"{column} IS NOT NULL")
    return Index(name, column, *more, postgresql_where=some, sqlite_where=some)


def _of_named(name: str, column: str, *more: str) -> Index:
    """Returns an index of the rows whose text is not empty."""
    some = sa.text(f"{column} <> ''")
    return Index(name, column, *more, postgresql_where=some, sqlite_where=some)


def _hash(name: str) -> Column[bytes]:
    return Column(name, LargeBinary(), primary_key=True, nullable=False)


accounts = sa.Table(
    "accounts",
    METADATA,
    _key("account_id", String(56)),
    *(
        _need(name, BigInteger())
        for name in ("balance", "buying_liabilities", "selling_liabilities", "sequence_number")
    ),
    _need("num_subentries", Integer()),
    _need("inflation_destination", String(56)),
    _need("flags", Integer()),
    # A domain of 32 bytes that are no UTF-8 has up to 128 characters in its display form.
    _sought("home_domain", String(128)),
    *(_need(name, SmallInteger()) for name in ("master_weight", "threshold_low", "threshold_medium", "threshold_high")),
    _need("last_modified_ledger", Integer()),
    _sought("sponsor", Text(), nullable=True),
    *(_may(name, Integer()) for name in ("num_sponsored", "num_sponsoring", "sequence_ledger")),
    _may("sequence_time", BigInteger()),
    _may("home_domain_bytes", LargeBinary()),
    _of_few("accounts_by_sponsor", "sponsor", "account_id"),
    _of_named("accounts_by_home_domain", "home_domain"),
)
accounts_signers = sa.Table(
    "accounts_signers",
    METADATA,
    _sought("account_id", String(64)),
    _sought("signer", Text()),
    _need("weight", Integer()),
    _sought("sponsor", Text(), nullable=True),
    sa.PrimaryKeyConstraint("signer", "account_id"),
    Index("accounts_signers_by_account", "account_id"),
    _of_few("accounts_signers_by_sponsor", "sponsor", "account_id"),
)
accounts_data = sa.Table(
    "accounts_data",
    METADATA,
    _key("ledger_key", String(150)),
    _sought("account_id", String(56)),
    _sought("name", String(256)),
    _need("value", String(90)),
    _need("last_modified_ledger", Integer()),
    _sought("sponsor", Text(), nullable=True),
    _may("name_bytes", LargeBinary()),
    Index("accounts_data_account_id_name", "account_id", "name"),
    _of_few("accounts_data_by_sponsor", "sponsor", "account_id"),
)
trust_lines = sa.Table(
    "trust_lines",
    METADATA,
    _key("ledger_key", String(150)),
    _sought("account_id", String(56)),
    _need("asset_type", Integer()),
    _sought("asset_issuer", String(56)),
    _sought("asset_code", String(48)),
    *(
        _need(name, BigInteger())
        for name in ("balance", "trust_line_limit", "buying_liabilities", "selling_liabilities")
    ),
    _need("flags", Integer()),
    _need("last_modified_ledger", Integer()),
    _sought("sponsor", Text(), nullable=True),
    _sought("liquidity_pool_id", Text(), nullable=True),
    Index("trust_lines_by_account_id", "account_id"),
    Index("trust_lines_by_asset", "asset_issuer", "asset_code", "asset_type", "account_id"),
    _of_few("trust_lines_by_sponsor", "sponsor", "account_id"),
    _of_named("trust_lines_by_liquidity_pool_id", "liquidity_pool_id", "account_id"),
)
offers = sa.Table(
    "offers",
    METADATA,
    _sought("seller_id", String(56)),
    Column("offer_id", BigInteger(), primary_key=True, autoincrement=False, nullable=False),
    _sought("selling_asset", Text()),
    _sought("buying_asset", Text()),
    _need("amount", BigInteger()),
    _need("pricen", Integer()),
    _need("priced", Integer()),
    _need("price", _FLOAT),
    _need("flags", Integer()),
    _need("last_modified_ledger", Integer()),
    _may("deleted", Boolean()),
    _sought("sponsor", Text(), nullable=True),
    Index("offers_by_seller", "seller_id", "offer_id"),
    Index("offers_by_price", "selling_asset", "buying_asset", "price", "offer_id"),
    Index("offers_by_selling_asset", "selling_asset", "offer_id"),
    Index("offers_by_buying_asset", "buying_asset", "offer_id"),
    Index("offers_by_last_modified_ledger", "last_modified_ledger"),
    _of_few("offers_by_sponsor", "sponsor", "offer_id"),
)
claimable_balances = sa.Table(
    "claimable_balances",
    METADATA,
    _key("id", Text()),
    _need("claimants", _JSON),
    _sought("asset", Text()),
    _need("amount", BigInteger()),
    _sought("sponsor", Text(), nullable=True),
    _need("last_modified_ledger", Integer()),
    _need("flags", Integer()),
    _need("predicates", _JSON),
    Index("claimable_balances_by_ledger", "last_modified_ledger", "id"),
    Index("claimable_balances_by_asset", "asset", "last_modified_ledger", "id"),
    _of_few("claimable_balances_by_sponsor_and_ledger", "sponsor", "last_modified_ledger", "id"),
)
claimable_balance_claimants = sa.Table(
    "claimable_balance_claimants",
    METADATA,
    _sought("id", Text()),
    _sought("destination", String(56)),
    _need("last_modified_ledger", Integer()),
    sa.PrimaryKeyConstraint("destination", "id"),
    Index("claimable_balance_claimants_by_ledger", "destination", "last_modified_ledger", "id"),
)
liquidity_pools = sa.Table(
    "liquidity_pools",
    METADATA,
    _key("id", Text()),
    _need("type", SmallInteger()),
    _need("fee", Integer()),
    _need("trustline_count", BigInteger()),
    _need("share_count", BigInteger()),
    _need("asset_reserves", _JSON),
    _need("last_modified_ledger", Integer()),
    _need("deleted", Boolean()),
    Index("liquidity_pools_by_ledger", "last_modified_ledger"),
    Index(
        "liquidity_pools_by_reserves",
        "asset_reserves",
        postgresql_using="gin",
        postgresql_ops={"asset_reserves": "jsonb_path_ops"},
    ),
)
exp_asset_stats = sa.Table(
    "exp_asset_stats",
    METADATA,
    Column("asset_type", Integer(), nullable=False),
    _sought("asset_code", String(48)),
    _sought("asset_issuer", String(56)),
    _need("accounts", _JSON),
    _need("balances", _JSON),
    sa.PrimaryKeyConstraint("asset_code", "asset_issuer", "asset_type"),
    Index("exp_asset_stats_by_issuer", "asset_issuer", "asset_code"),
)
contract_asset_stats = sa.Table("contract_asset_stats", METADATA, _hash("contract_id"), _need("stat", _JSON))
contract_asset_balances = sa.Table(
    "contract_asset_balances",
    METADATA,
    _hash("key_hash"),
    _need("asset_contract_id", LargeBinary()),
    _need("amount", _AMOUNT),
    _need("expiration_ledger", Integer()),
    Index("contract_asset_balances_by_expiration", "expiration_ledger"),
)
asset_contracts = sa.Table(
    "asset_contracts",
    METADATA,
    _hash("key_hash"),
    _need("contract_id", LargeBinary()),
    _need("asset_type", Integer()),
    _sought("asset_code", String(48)),
    _sought("asset_issuer", String(56)),
    _need("expiration_ledger", Integer()),
    Index("asset_contracts_by_contract_id", "contract_id"),
    Index("asset_contracts_by_asset", "asset_code", "asset_issuer"),
    Index("asset_contracts_by_issuer", "asset_issuer", "asset_code"),
    Index("asset_contracts_by_expiration", "expiration_ledger"),
)
contract_data = sa.Table(
    "contract_data",
    METADATA,
    _hash("key_hash"),
    _sought("contract", Text()),
    _may("contract_id", LargeBinary()),
    _need("key_type", Text()),
    _need("key", LargeBinary()),
    _need("durability", Text()),
    _need("value_type", Text()),
    _need("value", LargeBinary()),
    _need("last_modified_ledger", Integer()),
    Index("contract_data_by_contract", "contract"),
)
contract_code = sa.Table(
    "contract_code",
    METADATA,
    _hash("hash"),
    _need("key_hash", LargeBinary()),
    _need("code", LargeBinary()),
    _need("code_size", Integer()),
    _need("ext_version", Integer()),
    *(
        _may(f"n_{name}", BigInteger())
        for name in (
            "instructions",
            "functions",
            "globals",
            "table_entries",
            "types",
            "data_segments",
            "elem_segments",
            "imports",
            "exports",
            "data_segment_bytes",
        )
    ),
    _need("last_modified_ledger", Integer()),
)
config_settings = sa.Table(
    "config_settings",
    METADATA,
    Column("id", Integer(), primary_key=True, autoincrement=False, nullable=False),
    _need("name", Text()),
    _need("value_xdr", LargeBinary()),
    _need("value", _JSON),
    _need("last_modified_ledger", Integer()),
    _need("as_of_checkpoint", Integer()),
)
# A time to live may end beyond the last ledger that 31 bits can count; uint32 needs 64.
ttl = sa.Table(
    "ttl",
    METADATA,
    _hash("key_hash"),
    _need("live_until_ledger", BigInteger()),
    _need("last_modified_ledger", Integer()),
    Index("ttl_by_live_until", "live_until_ledger"),
)

STATE_TABLES: Final[dict[str, sa.Table]] = dict(METADATA.tables)
"""The tables of a state, in the order in which they are locked and published."""

key_value_store = sa.Table(
    "key_value_store",
    METADATA,
    Column("key", String(255), primary_key=True, nullable=False),
    Column("value", String(255), nullable=False),
)
