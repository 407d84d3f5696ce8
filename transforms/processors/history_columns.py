"""Arrow operations that the history tables share: times, ranges and ids of whole columns."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest import _kernel

TIME = pa.timestamp("us")
"""UTC without a zone, as Horizon's columns are."""
BIGINT_RANGE = pa.struct([pa.field("lower", pa.int64(), nullable=False), pa.field("upper", pa.int64())])
"""PostgreSQL's int8range: lower is in it, upper is not; no upper is an open end."""
TEXTS = pa.list_(pa.string())

_MICROS = 1_000_000
_LEDGER_BITS = 32
_INT64_MAX = 2**63 - 1


def closing_times(seconds: pa.Array) -> pa.Array:
    """Return close times, uint64 seconds since 1970, as timestamps.

    Raises:
        pa.ArrowInvalid: a time is beyond the year 294247.
    """
    return pc.multiply_checked(seconds.cast(pa.int64()), _MICROS).cast(TIME)


def bigint_ranges(lower: pa.Array, upper: pa.Array) -> pa.Array:
    """Return the ranges [lower, upper), null where ``lower`` is.

    Bounds of 64 bits without sign end at the greatest of int64, as Horizon's do.

    Args:
        lower: int64 or uint64, length n.
        upper: int64 or uint64, length n; null for an open end.
    """
    absent = lower.is_null()
    ends = [_up_to_int64(pc.fill_null(lower, 0)), _up_to_int64(upper)]
    return pa.StructArray.from_arrays(ends, fields=list(BIGINT_RANGE), mask=absent)


def _up_to_int64(values: pa.Array) -> pa.Array:
    if pa.types.is_uint64(values.type):
        most = pa.scalar(_INT64_MAX, pa.uint64())
        values = pc.if_else(pc.greater(values, most), most, values)
    return values.cast(pa.int64())


def ids_of_ledgers(sequences: pa.Array) -> pa.Array:
    """Return the total order ids of ledgers: the sequence in the upper 32 bits."""
    return pc.shift_left(sequences, _LEDGER_BITS)


def ids_of_transactions(sequences: pa.Array, orders: pa.Array) -> pa.Array:
    """Return the total order ids of transactions; null where there is no transaction.

    Args:
        sequences: int64 ledger sequences, length n.
        orders: places of the transactions in their ledgers, from 1; null for none.
    """
    return pc.bit_wise_or(ids_of_ledgers(sequences), pc.shift_left(orders.cast(pa.int64()), 12))


def ids_of_operations(transaction_ids: pa.Array, orders: pa.Array) -> pa.Array:
    """Return the total order ids of operations; null where there is no operation.

    Args:
        transaction_ids: int64, length n.
        orders: places of the operations in their transactions, from 1; null for none.
    """
    return pc.bit_wise_or(transaction_ids, orders.cast(pa.int64()))


def sorted_rows(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """Return the rows by ascending values of some columns without nulls; the batch itself if they ascend already."""
    keys = [(name, "ascending") for name in columns]
    order = pc.sort_indices(batch.select(list(columns)), sort_keys=keys)
    steps = pc.pairwise_diff(order.cast(pa.int64()))
    in_order = pc.all(pc.equal(steps, 1)).as_py()
    return batch if in_order else batch.take(order)


def base64_of(values: pa.Array) -> pa.Array:
    """Return the base64 texts of binary, or of lists of binary; null stays null."""
    return pa.array(_kernel.base64_encode_array(values))
