"""Table ``history_transactions``: one row per applied transaction, failed ones too, in Horizon's columns."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit
from aurora_ingest.transforms.processors.columns import or_empty, selected
from aurora_ingest.transforms.processors.history_columns import (
    BIGINT_RANGE,
    TEXTS,
    TIME,
    bigint_ranges,
    closing_times,
)
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("transaction_hash", pa.string(), nullable=False),
        pa.field("ledger_sequence", pa.int64(), nullable=False),
        pa.field("application_order", pa.int32(), nullable=False),
        pa.field("account", pa.string(), nullable=False),
        pa.field("account_sequence", pa.int64(), nullable=False),
        pa.field("max_fee", pa.int64(), nullable=False),
        pa.field("operation_count", pa.int32(), nullable=False),
        pa.field("created_at", TIME, nullable=False),
        pa.field("updated_at", TIME, nullable=False),
        pa.field("id", pa.int64(), nullable=False),
        pa.field("tx_envelope", pa.string(), nullable=False),
        pa.field("tx_result", pa.string(), nullable=False),
        pa.field("tx_meta", pa.string(), nullable=False),
        pa.field("tx_fee_meta", pa.string(), nullable=False),
        pa.field("signatures", TEXTS, nullable=False),
        pa.field("memo_type", pa.string(), nullable=False),
        pa.field("memo", pa.string()),
        pa.field("time_bounds", BIGINT_RANGE),
        pa.field("successful", pa.bool_(), nullable=False),
        pa.field("fee_charged", pa.int64(), nullable=False),
        pa.field("inner_transaction_hash", pa.string()),
        pa.field("fee_account", pa.string()),
        pa.field("inner_signatures", TEXTS),
        pa.field("new_max_fee", pa.int64()),
        pa.field("account_muxed", pa.string()),
        pa.field("fee_account_muxed", pa.string()),
        pa.field("ledger_bounds", BIGINT_RANGE),
        pa.field("min_account_sequence", pa.int64()),
        pa.field("min_account_sequence_age", pa.string()),
        pa.field("min_account_sequence_ledger_gap", pa.int64()),
        pa.field("extra_signers", TEXTS),
        pa.field("memo_bytes", pa.binary()),
    ]
)


def history_transaction_rows(transactions: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per transaction, in the same order.

    ``id`` is the total order id. Of a fee bump, ``account``, ``max_fee`` and the bounds are the inner transaction's;
    ``signatures`` are the outer envelope's, ``inner_signatures`` the inner one's. Envelope, result and metas are
    base64 XDR; metas are '' where the source of the ledgers has none. ``memo`` is text, digits or base64;
    ``memo_bytes`` has the bytes of a text memo that ``memo`` cannot show as they are, else it is null.

    Args:
        transactions: kernel table ``transactions`` with the columns of ``TABLE.columns``.
    """
    closed_at = closing_times(transactions.column("close_time"))
    return selected(
        transactions,
        SCHEMA,
        created_at=closed_at,
        updated_at=closed_at,
        tx_envelope=transactions.column("envelope_base64"),
        tx_result=transactions.column("result_base64"),
        tx_meta=or_empty(transactions.column("meta_base64")),
        tx_fee_meta=or_empty(transactions.column("fee_changes_base64")),
        signatures=transactions.column("signatures").cast(TEXTS),
        inner_signatures=transactions.column("inner_signatures").cast(TEXTS),
        time_bounds=_ranges(transactions, "time_bounds"),
        ledger_bounds=_ranges(transactions, "ledger_bounds"),
        min_account_sequence_age=transactions.column("min_account_sequence_age").cast(pa.string()),
        extra_signers=_none_for_empty(transactions.column("extra_signers").cast(TEXTS)),
        memo_bytes=_bytes_not_shown(transactions.column("memo_bytes"), transactions.column("memo")),
    )


def _ranges(transactions: pa.RecordBatch, name: str) -> pa.Array:
    return bigint_ranges(transactions.column(f"{name}_lower"), transactions.column(f"{name}_upper"))


def _none_for_empty(lists: pa.Array) -> pa.Array:
    some = pc.greater(pc.list_value_length(lists), 0)
    return lists if pc.all(some).as_py() else pc.if_else(some, lists, pa.scalar(None, TEXTS))


def _bytes_not_shown(raw: pa.Array, shown: pa.Array) -> pa.Array:
    """Return the bytes of the text memos that are not the shown text's."""
    hidden = pc.not_equal(raw, shown.cast(pa.binary()))
    return pc.if_else(pc.fill_null(hidden, fill_value=False), raw, pa.scalar(None, pa.binary()))


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return history_transaction_rows(unit.decoded["transactions"])


TABLE = TableSpec(
    name="history_transactions",
    schema=SCHEMA,
    primary_key=("id",),
    stage=CHUNK,
    columns={
        "transactions": (
            "ledger_sequence",
            "application_order",
            "id",
            "transaction_hash",
            "inner_transaction_hash",
            "successful",
            "fee_charged",
            "account",
            "account_muxed",
            "account_sequence",
            "max_fee",
            "new_max_fee",
            "fee_account",
            "fee_account_muxed",
            "operation_count",
            "signatures",
            "inner_signatures",
            "memo_type",
            "memo",
            "memo_bytes",
            "time_bounds_lower",
            "time_bounds_upper",
            "ledger_bounds_lower",
            "ledger_bounds_upper",
            "min_account_sequence",
            "min_account_sequence_age",
            "min_account_sequence_ledger_gap",
            "extra_signers",
            "envelope_base64",
            "result_base64",
            "meta_base64",
            "fee_changes_base64",
            "close_time",
        )
    },
    rows=_rows,
    row_group_rows=2048,
)


class ProcessHistoryTransactions(ProcessTable):
    """Adds ``history_transactions``."""

    spec = TABLE
