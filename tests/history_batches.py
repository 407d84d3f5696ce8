"""Small batches of the kernel's tables of closed ledgers and units around them, for tests of history processors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit
from entry_batches import absent, unit_with

SCHEMAS: dict[str, pa.Schema] = {table: pa.schema(_kernel.ledger_schema(table)) for table in _kernel.LEDGER_TABLES}


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
