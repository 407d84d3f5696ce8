"""Table ``ledger_entry_changes``: every change of every ledger entry, with what it was before and is after."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit
from aurora_ingest.transforms.processors.columns import HASH, selected
from aurora_ingest.transforms.processors.history_columns import ids_of_operations, ids_of_transactions
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("ledger_sequence", pa.int64(), nullable=False),
        pa.field("change_index", pa.int64(), nullable=False),
        pa.field("phase", pa.string(), nullable=False),
        pa.field("transaction_id", pa.int64()),
        pa.field("operation_id", pa.int64()),
        pa.field("upgrade_index", pa.int32()),
        pa.field("list_index", pa.int32(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("entry_type", pa.int32(), nullable=False),
        pa.field("ledger_key", pa.binary(), nullable=False),
        pa.field("key_hash", HASH, nullable=False),
        pa.field("last_modified_ledger", pa.int64()),
        pa.field("sponsor", pa.string()),
        pa.field("pre", pa.binary()),
        pa.field("post", pa.binary()),
        pa.field("post_json", pa.string()),
    ]
)


def ledger_entry_change_rows(changes: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per change, in the same order, which is that of the ledger's meta.

    From protocol 23 on meta lists by transaction what a parallel phase did for all its transactions first (sequence
    numbers); so the last row of a key is not always its last value. ``change_index`` counts from 0 in the ledger.
    ``transaction_id`` and ``operation_id`` are total order ids, null where the change belongs to none: upgrades and
    evictions have neither. ``ledger_key`` is XDR of the LedgerKey, ``key_hash`` its SHA-256 (of a TTL the hash that it
    names, which is that of its entry); ``pre`` and ``post`` are XDR of the LedgerEntry, null where there is none;
    ``post_json`` is ``post`` as SEP-51 writes it.

    Args:
        changes: kernel table ``changes`` with the columns of ``TABLE.columns``.
    """
    transactions = ids_of_transactions(changes.column("ledger_sequence"), changes.column("transaction_order"))
    return selected(
        changes,
        SCHEMA,
        transaction_id=transactions,
        operation_id=ids_of_operations(transactions, changes.column("operation_order")),
        pre=changes.column("pre_xdr"),
        post=changes.column("post_xdr"),
    )


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return ledger_entry_change_rows(unit.decoded["changes"])


TABLE = TableSpec(
    name="ledger_entry_changes",
    schema=SCHEMA,
    primary_key=("ledger_sequence", "change_index"),
    stage=CHUNK,
    columns={
        "changes": (
            "ledger_sequence",
            "change_index",
            "phase",
            "transaction_order",
            "operation_order",
            "upgrade_index",
            "list_index",
            "type",
            "entry_type",
            "ledger_key",
            "key_hash",
            "last_modified_ledger",
            "sponsor",
            "pre_xdr",
            "post_xdr",
            "post_json",
        )
    },
    rows=_rows,
    row_group_rows=8192,
)


class ProcessLedgerEntryChanges(ProcessTable):
    """Adds ``ledger_entry_changes``."""

    spec = TABLE
