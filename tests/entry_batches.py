"""Small batches of the kernel's entry tables, for tests of processors."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from aurora_ingest import _kernel


def entries(table: str, *rows: dict[str, Any]) -> pa.RecordBatch:
    """A batch of an entry table; columns that a row leaves out are null, or zero or empty where null is not allowed."""
    schema = pa.schema(_kernel.entry_schema(table))
    columns = [pa.array([row.get(field.name, _absent(field)) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _absent(field: pa.Field) -> Any:
    if field.nullable:
        return None
    if pa.types.is_integer(field.type):
        return 0
    if pa.types.is_string(field.type):
        return ""
    if pa.types.is_fixed_size_binary(field.type):
        return bytes(field.type.byte_width)
    if pa.types.is_binary(field.type):
        return b""
    return []
