"""Arrow operations on whole columns that several tables share; none looks at single rows in Python."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

HASH = pa.binary(32)
EXACT = pa.decimal256(76, 0)
"""Type of sums: 2^63 values of 128 bits add up to less than 10^58."""


def or_empty(texts: pa.Array) -> pa.Array:
    """Return the texts with '' for null: Horizon's NOT NULL columns for what the ledger leaves out.

    Args:
        texts: utf8, length n.

    Returns:
        utf8 of length n without nulls; ``texts`` itself, not copied, if it has none.
    """
    return texts if texts.null_count == 0 else pc.fill_null(texts, "")


def bytes_not_shown(raw: pa.Array, shown: pa.Array) -> pa.Array:
    """Return the raw bytes where the display text is not the same bytes, else null.

    Args:
        raw: binary, length n, no nulls.
        shown: utf8, length n, no nulls.
    """
    same = pc.equal(raw, shown.cast(pa.binary()))
    if pc.all(same).as_py():
        return pa.nulls(len(raw), pa.binary())
    return pc.if_else(same, pa.scalar(None, pa.binary()), raw)


def repeated(value: int, count: int) -> pa.Array:
    """Return int64 of length ``count`` with the same value everywhere."""
    return pa.repeat(pa.scalar(value, pa.int64()), count)


def never(count: int) -> pa.Array:
    """Return bool of length ``count``, all false."""
    return pa.repeat(pa.scalar(value=False), count)


def joined(*parts: str | pa.Array) -> pa.Array:
    """Concatenate texts and columns of texts row by row, for JSON that is printed column by column."""
    return pc.binary_join_element_wise(*parts, "")


def text_of(numbers: pa.Array) -> pa.Array:
    """Return integers of any exact type as decimal digits."""
    return numbers.cast(pa.string())


def selected(entries: pa.RecordBatch, schema: pa.Schema, **made: pa.Array) -> pa.RecordBatch:
    """Return the columns of a schema, taken over from the entries without copying where not given.

    Args:
        entries: batch with n rows.
        schema: names and types of the result.
        made: columns that are not the entries' own, length n.
    """
    columns = [made[name] if name in made else entries.column(name) for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Return the rows of a table as one batch, also if there are none."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else empty(table.schema)


@functools.cache
def empty(schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch of no rows."""
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def summed(rows: pa.Table, keys: Sequence[str], schema: pa.Schema) -> pa.RecordBatch:
    """Add up all columns that are not keys, for every value of the keys.

    Args:
        rows: table with the columns of ``schema``.
        keys: names of the key columns.
        schema: exact schema of the result; sums are int64 or decimal256(76, 0).

    Returns:
        One row per key, in order of first appearance.
    """
    added = [name for name in schema.names if name not in keys]
    grouped = rows.group_by(list(keys), use_threads=False).aggregate([(name, "sum") for name in added])
    columns = [grouped.column(name if name in keys else f"{name}_sum") for name in schema.names]
    return one_batch(pa.Table.from_arrays(columns, schema=schema))
