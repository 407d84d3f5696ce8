"""The history tables: ledgers, transactions, operations, contract events and changes of ledger entries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_JSON = sa.Text().with_variant(postgresql.JSONB(), "postgresql")
_VARCHARS = sa.Text().with_variant(postgresql.ARRAY(sa.String()), "postgresql")
_TEXTS = sa.Text().with_variant(postgresql.ARRAY(sa.Text()), "postgresql")
_RANGE = sa.Text().with_variant(postgresql.INT8RANGE(), "postgresql")

_WIDE = {
    "history_transactions": ("tx_envelope", "tx_result", "tx_meta", "tx_fee_meta"),
    "history_operations": ("body",),
    "history_contract_events": ("data", "event"),
    "ledger_entry_changes": ("ledger_key", "pre", "post", "post_json"),
}


def _key(length: int) -> sa.types.TypeEngine[str]:
    """Returns a text type that is compared byte by byte."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "history_ledgers",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ledger_hash", _key(64), nullable=False),
        sa.Column("previous_ledger_hash", sa.String(length=64), nullable=True),
        sa.Column("transaction_count", sa.Integer(), nullable=False),
        sa.Column("operation_count", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.DateTime(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("importer_version", sa.Integer(), nullable=False),
        sa.Column("total_coins", sa.BigInteger(), nullable=False),
        sa.Column("fee_pool", sa.BigInteger(), nullable=False),
        sa.Column("base_fee", sa.BigInteger(), nullable=False),
        sa.Column("base_reserve", sa.BigInteger(), nullable=False),
        sa.Column("max_tx_set_size", sa.BigInteger(), nullable=False),
        sa.Column("protocol_version", sa.Integer(), nullable=False),
        sa.Column("ledger_header", sa.Text(), nullable=False),
        sa.Column("successful_transaction_count", sa.Integer(), nullable=False),
        sa.Column("failed_transaction_count", sa.Integer(), nullable=False),
        sa.Column("tx_set_operation_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("history_ledgers_by_hash", "history_ledgers", ["ledger_hash"])
    op.create_index("history_ledgers_by_closed_at", "history_ledgers", ["closed_at"])
    op.create_index("history_ledgers_by_id", "history_ledgers", ["id"])
    op.create_table(
        "history_transactions",
        sa.Column("transaction_hash", _key(64), nullable=False),
        sa.Column("ledger_sequence", sa.Integer(), nullable=False),
        sa.Column("application_order", sa.Integer(), nullable=False),
        sa.Column("account", _key(64), nullable=False),
        sa.Column("account_sequence", sa.BigInteger(), nullable=False),
        sa.Column("max_fee", sa.BigInteger(), nullable=False),
        sa.Column("operation_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tx_envelope", sa.Text(), nullable=False),
        sa.Column("tx_result", sa.Text(), nullable=False),
        sa.Column("tx_meta", sa.Text(), nullable=False),
        sa.Column("tx_fee_meta", sa.Text(), nullable=False),
        sa.Column("signatures", _VARCHARS, nullable=False),
        sa.Column("memo_type", sa.String(), nullable=False),
        sa.Column("memo", sa.String(), nullable=True),
        sa.Column("time_bounds", _RANGE, nullable=True),
        sa.Column("successful", sa.Boolean(), nullable=False),
        sa.Column("fee_charged", sa.BigInteger(), nullable=False),
        sa.Column("inner_transaction_hash", _key(64), nullable=True),
        sa.Column("fee_account", sa.String(length=64), nullable=True),
        sa.Column("inner_signatures", _VARCHARS, nullable=True),
        sa.Column("new_max_fee", sa.BigInteger(), nullable=True),
        sa.Column("account_muxed", sa.String(length=69), nullable=True),
        sa.Column("fee_account_muxed", sa.String(length=69), nullable=True),
        sa.Column("ledger_bounds", _RANGE, nullable=True),
        sa.Column("min_account_sequence", sa.BigInteger(), nullable=True),
        sa.Column("min_account_sequence_age", sa.String(length=20), nullable=True),
        sa.Column("min_account_sequence_ledger_gap", sa.BigInteger(), nullable=True),
        sa.Column("extra_signers", _TEXTS, nullable=True),
        sa.Column("memo_bytes", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("history_transactions_by_ledger", "history_transactions", ["ledger_sequence", "application_order"])
    op.create_index("history_transactions_by_hash", "history_transactions", ["transaction_hash"])
    op.create_index("history_transactions_by_account", "history_transactions", ["account", "account_sequence"])
    inner = sa.text("inner_transaction_hash IS NOT NULL")
    op.create_index(
        "history_transactions_by_inner_hash",
        "history_transactions",
        ["inner_transaction_hash"],
        postgresql_where=inner,
        sqlite_where=inner,
    )
    op.create_table(
        "history_operations",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("application_order", sa.Integer(), nullable=False),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.Column("details", _JSON, nullable=True),
        sa.Column("source_account", _key(64), nullable=False),
        sa.Column("source_account_muxed", sa.String(length=69), nullable=True),
        sa.Column("is_payment", sa.Boolean(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("history_operations_by_transaction", "history_operations", ["transaction_id"])
    op.create_index("history_operations_by_source_account", "history_operations", ["source_account", "id"])
    op.create_table(
        "history_contract_events",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("ledger_sequence", sa.Integer(), nullable=False),
        sa.Column("transaction_order", sa.Integer(), nullable=False),
        sa.Column("operation_order", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("is_diagnostic", sa.Boolean(), nullable=False),
        sa.Column("event_index", sa.Integer(), nullable=False),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.Column("in_successful_contract_call", sa.Boolean(), nullable=False),
        sa.Column("contract_id", _key(56), nullable=True),
        sa.Column("topics", _TEXTS, nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "ledger_sequence", "transaction_order", "is_diagnostic", "operation_order", "event_index"
        ),
    )
    op.create_index(
        "history_contract_events_by_contract", "history_contract_events", ["contract_id", "ledger_sequence"]
    )
    op.create_table(
        "ledger_entry_changes",
        sa.Column("ledger_sequence", sa.Integer(), nullable=False),
        sa.Column("change_index", sa.BigInteger(), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=True),
        sa.Column("operation_id", sa.BigInteger(), nullable=True),
        sa.Column("upgrade_index", sa.Integer(), nullable=True),
        sa.Column("list_index", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("entry_type", sa.Integer(), nullable=False),
        sa.Column("ledger_key", sa.LargeBinary(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("last_modified_ledger", sa.Integer(), nullable=True),
        sa.Column("sponsor", sa.String(length=56), nullable=True),
        sa.Column("pre", sa.LargeBinary(), nullable=True),
        sa.Column("post", sa.LargeBinary(), nullable=True),
        sa.Column("post_json", _JSON, nullable=True),
        sa.PrimaryKeyConstraint("ledger_sequence", "change_index"),
    )
    op.create_index("ledger_entry_changes_by_key", "ledger_entry_changes", ["key_hash", "ledger_sequence"])
    _compress_wide_columns()


def _compress_wide_columns() -> None:
    """Lets PostgreSQL compress XDR and JSON by LZ4 where it can: as small as by its default, at a third of the CPU."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    methods = sa.text("SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'")
    if "lz4" not in (connection.scalar(methods) or ()):
        return
    for table, columns in _WIDE.items():
        changes = ", ".join(f"ALTER COLUMN {column} SET COMPRESSION lz4" for column in columns)
        op.execute(f"ALTER TABLE {table} {changes}")
