"""Table ``history_ledgers``: one row per closed ledger, in Horizon's columns."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit
from aurora_ingest.transforms.processors.columns import selected
from aurora_ingest.transforms.processors.history_columns import TIME, closing_times, ids_of_ledgers
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("ledger_hash", pa.string(), nullable=False),
        pa.field("previous_ledger_hash", pa.string()),
        pa.field("transaction_count", pa.int32(), nullable=False),
        pa.field("operation_count", pa.int32(), nullable=False),
        pa.field("closed_at", TIME, nullable=False),
        pa.field("created_at", TIME, nullable=False),
        pa.field("updated_at", TIME, nullable=False),
        pa.field("id", pa.int64(), nullable=False),
        pa.field("importer_version", pa.int32(), nullable=False),
        pa.field("total_coins", pa.int64(), nullable=False),
        pa.field("fee_pool", pa.int64(), nullable=False),
        pa.field("base_fee", pa.int64(), nullable=False),
        pa.field("base_reserve", pa.int64(), nullable=False),
        pa.field("max_tx_set_size", pa.int64(), nullable=False),
        pa.field("protocol_version", pa.int64(), nullable=False),
        pa.field("ledger_header", pa.string(), nullable=False),
        pa.field("successful_transaction_count", pa.int32(), nullable=False),
        pa.field("failed_transaction_count", pa.int32(), nullable=False),
        pa.field("tx_set_operation_count", pa.int32(), nullable=False),
    ]
)


def history_ledger_rows(ledgers: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per ledger, in the same order.

    ``transaction_count`` is that of the successful ones and ``operation_count`` that of their operations;
    ``tx_set_operation_count`` counts failed ones too. ``created_at`` and ``updated_at`` are ``closed_at``, so that
    equal ledgers make equal rows. ``previous_ledger_hash`` is null for ledger 1. ``ledger_header`` is base64 XDR;
    coins and fees are stroops.

    Args:
        ledgers: kernel table ``ledgers`` with the columns of ``TABLE.columns``.
    """
    closed_at = closing_times(ledgers.column("close_time"))
    sequences = ledgers.column("ledger_sequence")
    return selected(
        ledgers,
        SCHEMA,
        sequence=sequences,
        previous_ledger_hash=_of_predecessors(sequences, ledgers.column("previous_ledger_hash")),
        transaction_count=ledgers.column("successful_transaction_count"),
        closed_at=closed_at,
        created_at=closed_at,
        updated_at=closed_at,
        id=ids_of_ledgers(sequences),
        importer_version=pa.repeat(pa.scalar(CURRENT_VERSION, pa.int32()), len(ledgers)),
        ledger_header=ledgers.column("header_base64"),
    )


def _of_predecessors(sequences: pa.Array, hashes: pa.Array) -> pa.Array:
    """Return the hashes without that of the first ledger, which has no predecessor."""
    later = pc.greater(sequences, 1)
    return hashes if pc.all(later).as_py() else pc.if_else(later, hashes, pa.scalar(None, pa.string()))


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return history_ledger_rows(unit.decoded["ledgers"])


TABLE = TableSpec(
    name="history_ledgers",
    schema=SCHEMA,
    primary_key=("sequence",),
    stage=CHUNK,
    columns={
        "ledgers": (
            "ledger_sequence",
            "ledger_hash",
            "previous_ledger_hash",
            "protocol_version",
            "close_time",
            "total_coins",
            "fee_pool",
            "base_fee",
            "base_reserve",
            "max_tx_set_size",
            "header_base64",
            "successful_transaction_count",
            "failed_transaction_count",
            "operation_count",
            "tx_set_operation_count",
        )
    },
    rows=_rows,
)


class ProcessHistoryLedgers(ProcessTable):
    """Adds ``history_ledgers``."""

    spec = TABLE
