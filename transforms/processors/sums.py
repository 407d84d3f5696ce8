"""Exact sums by key over many batches: the arithmetic of two-stage sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

SUM_TYPE = pa.decimal256(76, 0)
"""Sums of 128-bit integers: 39 digits each, and 37 more digits for how many there are."""

_PENDING_ROWS = 500_000
_LOW_BITS = 32


def running_sums(batches: Iterable[pa.RecordBatch], schema: pa.Schema, key: Sequence[str]) -> pa.RecordBatch:
    """Add up the columns that are not in the key.

    Memory holds the sums so far and half a million rows, not all batches.

    Args:
        batches: batches of ``schema``; columns outside the key are int64 or ``SUM_TYPE``.
        schema: the schema of batches and result.
        key: columns that name what is summed.

    Returns:
        One row per distinct key, sorted by key.
    """
    pending: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        pending.append(batch)
        rows += batch.num_rows
        if rows >= _PENDING_ROWS:
            pending = [_summed(pending, schema, key)]
            rows = 0
    return _summed(pending, schema, key)


def _summed(batches: list[pa.RecordBatch], schema: pa.Schema, key: Sequence[str]) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches, schema)
    values = [name for name in schema.names if name not in key]
    grouped = table.group_by(list(key), use_threads=False).aggregate([(name, "sum") for name in values])
    grouped = grouped.sort_by([(name, "ascending") for name in key])
    columns = [grouped.column(name if name in key else f"{name}_sum").cast(schema.field(name).type) for name in schema.names]
    summed = pa.Table.from_arrays(columns, schema=schema).combine_chunks().to_batches()
    return summed[0] if summed else pa.RecordBatch.from_pylist([], schema)


def halves(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Split int64 values into two int64 columns whose sums cannot overflow below two thousand million rows.

    Returns:
        (high, low) with value = high * 2**32 + low and 0 <= low < 2**32.
    """
    return pc.shift_right(values, _LOW_BITS), pc.bit_wise_and(values, (1 << _LOW_BITS) - 1)


def joined_halves(high: pa.ChunkedArray, low: pa.ChunkedArray) -> pa.ChunkedArray:
    """Put sums of ``halves`` together as ``SUM_TYPE``."""
    weight = pa.scalar(1 << _LOW_BITS, pa.decimal256(10, 0))
    whole = pc.add(pc.multiply(high.cast(pa.decimal256(19, 0)), weight), low.cast(pa.decimal256(19, 0)))
    return whole.cast(SUM_TYPE)
