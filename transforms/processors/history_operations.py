"""Table ``history_operations``: one row per operation, those of failed transactions too, in Horizon's columns."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit
from aurora_ingest.transforms.processors.columns import selected
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("transaction_id", pa.int64(), nullable=False),
        pa.field("application_order", pa.int32(), nullable=False),
        pa.field("type", pa.int32(), nullable=False),
        pa.field("details", pa.string()),
        pa.field("source_account", pa.string(), nullable=False),
        pa.field("source_account_muxed", pa.string()),
        pa.field("is_payment", pa.bool_()),
        pa.field("body", pa.string(), nullable=False),
    ]
)


def history_operation_rows(operations: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per operation, in the same order.

    ``id`` and ``transaction_id`` are total order ids; ``body`` is base64 XDR of the OperationBody; ``details`` is
    null. ``source_account`` is the transaction's where the operation names none. ``is_payment`` is true for what
    moves value from an account to another, else null.

    Args:
        operations: kernel table ``operations`` with the columns of ``TABLE.columns``.
    """
    return selected(
        operations,
        SCHEMA,
        application_order=operations.column("operation_order"),
        details=pa.nulls(len(operations), pa.string()),
        body=operations.column("body_base64"),
    )


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return history_operation_rows(unit.decoded["operations"])


TABLE = TableSpec(
    name="history_operations",
    schema=SCHEMA,
    primary_key=("id",),
    stage=CHUNK,
    columns={
        "operations": (
            "operation_order",
            "id",
            "transaction_id",
            "type",
            "source_account",
            "source_account_muxed",
            "body_base64",
            "is_payment",
        )
    },
    rows=_rows,
    row_group_rows=16_384,
)


class ProcessHistoryOperations(ProcessTable):
    """Adds ``history_operations``."""

    spec = TABLE
