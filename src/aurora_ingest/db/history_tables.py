"""The history tables: Horizon's names and columns of ledgers, transactions and operations, and ours beside them."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Index, Integer, LargeBinary, String, Text
from sqlalchemy.dialects import postgresql

from aurora_ingest.db.tables import METADATA

# SQLite has neither jsonb nor arrays nor ranges: a JSON array, and the range as PostgreSQL prints it, stand for them.
_JSON: Final = Text().with_variant(postgresql.JSONB(), "postgresql")
_VARCHARS: Final = Text().with_variant(postgresql.ARRAY(String()), "postgresql")
_TEXTS: Final = Text().with_variant(postgresql.ARRAY(Text()), "postgresql")
_RANGE: Final = Text().with_variant(postgresql.INT8RANGE(), "postgresql")


def _need(name: str, kind: sa.types.TypeEngine[Any]) -> Column[object]:
    return Column(name, kind, nullable=False)


def _may(name: str, kind: sa.types.TypeEngine[Any]) -> Column[object]:
    return Column(name, kind, nullable=True)


def _sought(name: str, length: int, *, nullable: bool = False) -> Column[str]:
    """Returns a text column of an index; it is compared byte by byte, which needs no locale."""
    in_postgres = String(length, collation="C")
    return Column(name, String(length).with_variant(in_postgres, "postgresql"), nullable=nullable)


def _id(name: str) -> Column[int]:
    return Column(name, BigInteger(), primary_key=True, autoincrement=False, nullable=False)


_INNER: Final = sa.text("inner_transaction_hash IS NOT NULL")

# Horizon has 32 bits for fees, reserve and set size; the header has them without sign.
history_ledgers = sa.Table(
    "history_ledgers",
    METADATA,
    Column("sequence", Integer(), primary_key=True, autoincrement=False, nullable=False),
    _sought("ledger_hash", 64),
    _may("previous_ledger_hash", String(64)),
    _need("transaction_count", Integer()),
    _need("operation_count", Integer()),
    *(_need(name, DateTime()) for name in ("closed_at", "created_at", "updated_at")),
    _need("id", BigInteger()),
    _need("importer_version", Integer()),
    _need("total_coins", BigInteger()),
    _need("fee_pool", BigInteger()),
    *(_need(name, BigInteger()) for name in ("base_fee", "base_reserve", "max_tx_set_size")),
    _need("protocol_version", Integer()),
    _need("ledger_header", Text()),
    *(
        _need(name, Integer())
        for name in ("successful_transaction_count", "failed_transaction_count", "tx_set_operation_count")
    ),
    Index("history_ledgers_by_hash", "ledger_hash"),
    Index("history_ledgers_by_closed_at", "closed_at"),
    Index("history_ledgers_by_id", "id"),
)
history_transactions = sa.Table(
    "history_transactions",
    METADATA,
    _sought("transaction_hash", 64),
    _need("ledger_sequence", Integer()),
    _need("application_order", Integer()),
    _sought("account", 64),
    _need("account_sequence", BigInteger()),
    _need("max_fee", BigInteger()),
    _need("operation_count", Integer()),
    _need("created_at", DateTime()),
    _need("updated_at", DateTime()),
    _id("id"),
    *(_need(name, Text()) for name in ("tx_envelope", "tx_result", "tx_meta", "tx_fee_meta")),
    _need("signatures", _VARCHARS),
    _need("memo_type", String()),
    _may("memo", String()),
    _may("time_bounds", _RANGE),
    _need("successful", Boolean()),
    _need("fee_charged", BigInteger()),
    _sought("inner_transaction_hash", 64, nullable=True),
    _may("fee_account", String(64)),
    _may("inner_signatures", _VARCHARS),
    _may("new_max_fee", BigInteger()),
    _may("account_muxed", String(69)),
    _may("fee_account_muxed", String(69)),
    _may("ledger_bounds", _RANGE),
    _may("min_account_sequence", BigInteger()),
    _may("min_account_sequence_age", String(20)),
    _may("min_account_sequence_ledger_gap", BigInteger()),
    _may("extra_signers", _TEXTS),
    _may("memo_bytes", LargeBinary()),
    Index("history_transactions_by_ledger", "ledger_sequence", "application_order"),
    Index("history_transactions_by_hash", "transaction_hash"),
    Index("history_transactions_by_account", "account", "account_sequence"),
    Index(
        "history_transactions_by_inner_hash",
        "inner_transaction_hash",
        postgresql_where=_INNER,
        sqlite_where=_INNER,
    ),
)
history_operations = sa.Table(
    "history_operations",
    METADATA,
    _id("id"),
    _need("transaction_id", BigInteger()),
    _need("application_order", Integer()),
    _need("type", Integer()),
    _may("details", _JSON),
    _sought("source_account", 64),
    _may("source_account_muxed", String(69)),
    _may("is_payment", Boolean()),
    _need("body", Text()),
    Index("history_operations_by_transaction", "transaction_id"),
    Index("history_operations_by_source_account", "source_account", "id"),
)
history_contract_events = sa.Table(
    "history_contract_events",
    METADATA,
    _need("id", BigInteger()),
    _need("ledger_sequence", Integer()),
    _need("transaction_order", Integer()),
    _need("operation_order", Integer()),
    _need("stage", String(16)),
    _need("is_diagnostic", Boolean()),
    _need("event_index", Integer()),
    _need("type", Integer()),
    _need("in_successful_contract_call", Boolean()),
    _sought("contract_id", 56, nullable=True),
    _need("topics", _TEXTS),
    _need("data", Text()),
    _need("event", Text()),
    sa.PrimaryKeyConstraint("ledger_sequence", "transaction_order", "is_diagnostic", "operation_order", "event_index"),
    Index("history_contract_events_by_contract", "contract_id", "ledger_sequence"),
)
ledger_entry_changes = sa.Table(
    "ledger_entry_changes",
    METADATA,
    _need("ledger_sequence", Integer()),
    _need("change_index", BigInteger()),
    _need("phase", String(16)),
    _may("transaction_id", BigInteger()),
    _may("operation_id", BigInteger()),
    _may("upgrade_index", Integer()),
    _need("list_index", Integer()),
    _need("type", String(16)),
    _need("entry_type", Integer()),
    _need("ledger_key", LargeBinary()),
    _need("key_hash", LargeBinary()),
    _may("last_modified_ledger", Integer()),
    _may("sponsor", String(56)),
    _may("pre", LargeBinary()),
    _may("post", LargeBinary()),
    _may("post_json", _JSON),
    sa.PrimaryKeyConstraint("ledger_sequence", "change_index"),
    Index("ledger_entry_changes_by_key", "key_hash", "ledger_sequence"),
)

HISTORY_TABLES: Final[dict[str, sa.Table]] = {
    table.name: table
    for table in (
        history_ledgers,
        history_transactions,
        history_operations,
        history_contract_events,
        ledger_entry_changes,
    )
}
"""The tables of history, in the order in which they are written."""
