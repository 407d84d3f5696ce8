"""Pieces of Arrow that several tables need: columns put together, constants, and JSON text as PostgreSQL prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc


def batch_of(schema: pa.Schema, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """Put columns together in the order of a schema; types and lengths have to fit.

    Raises:
        pa.ArrowInvalid: a column has another type or length than the schema and the other columns say.
    """
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def renamed(entries: pa.RecordBatch, schema: pa.Schema, sources: Mapping[str, str]) -> pa.RecordBatch:
    """Take a batch whose columns stand in an entry table, some under another name; nothing is copied.

    Args:
        entries: the entry table.
        schema: the wanted schema.
        sources: names in ``entries`` where they differ from those in ``schema``.
    """
    return batch_of(schema, {name: entries.column(sources.get(name, name)) for name in schema.names})


def constant(value: object, kind: pa.DataType, length: int) -> pa.Array:
    """Return a column of one repeated value."""
    return pa.repeat(pa.scalar(value, kind), length)


def text_or_empty(column: pa.Array) -> pa.Array:
    """Return the column with the empty text in place of nulls, as Horizon's NOT NULL text columns have it."""
    return pc.fill_null(column, "") if column.null_count else column


def bytes_where_text_differs(raw: pa.Array, text: pa.Array) -> pa.Array:
    """Return the bytes only of the rows whose display text is not those very bytes, null elsewhere."""
    return pc.if_else(pc.equal(pc.cast(text, pa.binary()), raw), pa.scalar(None, pa.binary()), raw)


def concat_text(*pieces: pa.Array | str) -> pa.Array:
    """Join text columns and constants row by row, without a separator."""
    return pc.binary_join_element_wise(*pieces, "")


def json_objects(fields: Sequence[tuple[str, pa.Array]], *, quoted: bool) -> pa.Array:
    """Make one JSON object per row, printed as PostgreSQL prints jsonb.

    Args:
        fields: (key, column castable to text) pairs; keys are put in jsonb's order: by length, then by bytes.
        quoted: True if the values are JSON strings, False if numbers.
    """
    quote = '"' if quoted else ""
    pieces: list[pa.Array | str] = []
    for key, column in sorted(fields, key=lambda field: (len(field[0]), field[0].encode())):
        pieces += [f'{", " if pieces else "{"}"{key}": {quote}', pc.cast(column, pa.string()), quote]
    return concat_text(*pieces, "}")
