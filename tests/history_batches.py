"""Small batches of the kernel's tables of closed ledgers and units around them, for tests of history processors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit
from entry_batches import absent, unit_with

_TEXTS = pa.list_(pa.string())
_NEED = {
    "ledgers": {
        "ledger_sequence": pa.int64(),
        "ledger_hash": pa.string(),
        "previous_ledger_hash": pa.string(),
        "protocol_version": pa.int64(),
        "close_time": pa.uint64(),
        "total_coins": pa.int64(),
        "fee_pool": pa.int64(),
        "base_fee": pa.int64(),
        "base_reserve": pa.int64(),
        "max_tx_set_size": pa.int64(),
        "header_base64": pa.string(),
        "successful_transaction_count": pa.int32(),
        "failed_transaction_count": pa.int32(),
        "operation_count": pa.int32(),
        "tx_set_operation_count": pa.int32(),
    },
    "transactions": {
        "ledger_sequence": pa.int64(),
        "application_order": pa.int32(),
        "id": pa.int64(),
        "transaction_hash": pa.string(),
        "successful": pa.bool_(),
        "fee_charged": pa.int64(),
        "account": pa.string(),
        "account_sequence": pa.int64(),
        "max_fee": pa.int64(),
        "operation_count": pa.int32(),
        "signatures": _TEXTS,
        "memo_type": pa.string(),
        "envelope_base64": pa.string(),
        "result_base64": pa.string(),
        "close_time": pa.uint64(),
    },
    "operations": {
        "operation_order": pa.int32(),
        "id": pa.int64(),
        "transaction_id": pa.int64(),
        "type": pa.int32(),
        "source_account": pa.string(),
        "body_base64": pa.string(),
    },
    "contract_events": {
        "ledger_sequence": pa.int64(),
        "transaction_order": pa.int32(),
        "event_index": pa.int32(),
        "type": pa.int32(),
        "is_diagnostic": pa.bool_(),
        "in_successful_contract_call": pa.bool_(),
        "topics": pa.list_(pa.binary()),
        "data_xdr": pa.binary(),
        "event_xdr": pa.binary(),
    },
    "changes": {
        "ledger_sequence": pa.int64(),
        "change_index": pa.int64(),
        "phase": pa.string(),
        "list_index": pa.int32(),
        "type": pa.string(),
        "entry_type": pa.int32(),
        "ledger_key": pa.binary(),
        "key_hash": pa.binary(32),
    },
}
_MAY = {
    "ledgers": {},
    "transactions": {
        "inner_transaction_hash": pa.string(),
        "account_muxed": pa.string(),
        "new_max_fee": pa.int64(),
        "fee_account": pa.string(),
        "fee_account_muxed": pa.string(),
        "inner_signatures": _TEXTS,
        "memo": pa.string(),
        "memo_bytes": pa.binary(),
        "time_bounds_lower": pa.uint64(),
        "time_bounds_upper": pa.uint64(),
        "ledger_bounds_lower": pa.int64(),
        "ledger_bounds_upper": pa.int64(),
        "min_account_sequence": pa.int64(),
        "min_account_sequence_age": pa.uint64(),
        "min_account_sequence_ledger_gap": pa.int64(),
        "extra_signers": _TEXTS,
        "meta_base64": pa.string(),
        "fee_changes_base64": pa.string(),
    },
    "operations": {"source_account_muxed": pa.string(), "is_payment": pa.bool_()},
    "contract_events": {"operation_order": pa.int32(), "stage": pa.string(), "contract_id": pa.string()},
    "changes": {
        "transaction_order": pa.int32(),
        "operation_order": pa.int32(),
        "upgrade_index": pa.int32(),
        "last_modified_ledger": pa.int64(),
        "sponsor": pa.string(),
        "pre_xdr": pa.binary(),
        "post_xdr": pa.binary(),
        "post_json": pa.string(),
    },
}
SCHEMAS: dict[str, pa.Schema] = {
    table: pa.schema(
        [pa.field(name, kind, nullable=False) for name, kind in needed.items()]
        + [pa.field(name, kind) for name, kind in _MAY[table].items()]
    )
    for table, needed in _NEED.items()
}


def decoded(table: str, *rows: Mapping[str, Any]) -> pa.RecordBatch:
    """A batch of a kernel table; columns that a row leaves out are null, or zero or empty where null is not allowed."""
    schema = SCHEMAS[table]
    lost = {name for row in rows for name in row} - set(schema.names)
    assert not lost, f"{table} has no columns {lost}"
    columns = [pa.array([row.get(field.name, absent(field)) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def whole_decoded(rows: int) -> dict[str, pa.RecordBatch]:
    """All kernel tables of closed ledgers with so many rows each."""
    return {table: decoded(table, *[{}] * rows) for table in SCHEMAS}


def chunk_with(tables: Mapping[str, pa.RecordBatch], **changes: Any) -> LedgerUnit:
    """A unit of a chunk of ledgers."""
    return unit_with({}, CHUNK, decoded=tables, **changes)
