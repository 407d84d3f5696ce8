"""Fingerprints: hashes of keys and entries by which two states are compared without holding either in memory."""

from __future__ import annotations

import struct
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest import _kernel
from aurora_ingest.transforms.ledger_unit import batch_from_ipc, batch_to_ipc
from aurora_ingest.transforms.spill import KEY_HASH, partition_batches
from aurora_ingest.transforms.verify_plan import VerifyPlan

_PLACE = struct.Struct(">Q")
_PLACES = struct.Struct(">QQ")

ENTRY_HASH = "entry_hash"
BEFORE_HASH = "before_hash"
BEFORE_KNOWN = "before_known"
LEDGER_KEY = "ledger_key"
LEDGER = "ledger_sequence"

STATE_SCHEMA = pa.schema(
    [pa.field(KEY_HASH, pa.binary(32), nullable=False), pa.field(ENTRY_HASH, pa.binary(32), nullable=False)]
)
"""An entry of a state: SHA-256 of its LedgerKey and of its LedgerEntry."""

CHANGE_SCHEMA = pa.schema(
    [
        pa.field(KEY_HASH, pa.binary(32), nullable=False),
        pa.field(ENTRY_HASH, pa.binary(32)),
        pa.field(BEFORE_HASH, pa.binary(32)),
        pa.field(BEFORE_KNOWN, pa.bool_(), nullable=False),
        pa.field(LEDGER_KEY, pa.binary(), nullable=False),
        pa.field(LEDGER, pa.int64(), nullable=False),
    ]
)
"""What a ledger did to a key: hash of the entry after and before it, null if there was none; whether the latter is
known; and the ledger."""

_NEVER_IN_META = tuple(bytes.fromhex(f"00000008{setting:08x}") for setting in (12, 13))
"""LedgerKeys of LIVE_SOROBAN_STATE_SIZE_WINDOW and EVICTION_ITERATOR, whose changes no meta tells."""


def state_fingerprints(keys: pa.Array, entries: pa.Array) -> pa.RecordBatch:
    """Fingerprint live entries.

    Args:
        keys: LedgerKey XDR, binary.
        entries: LedgerEntry XDR, binary.

    Returns:
        `STATE_SCHEMA`, without the two config settings that no meta tells of.
    """
    told = pc.invert(pc.is_in(keys, pa.array(_NEVER_IN_META)))
    return pa.record_batch([_hashes(keys.filter(told)), _hashes(entries.filter(told))], schema=STATE_SCHEMA)


def change_fingerprints(compacted: pa.Table | pa.RecordBatch) -> pa.RecordBatch:
    """Fingerprint net changes.

    Args:
        compacted: rows of `compaction.compact` of consecutive ledgers, ascending.

    Returns:
        `CHANGE_SCHEMA`, one row per ledger and key, without the two config settings that no meta tells of.
    """
    told = pc.invert(pc.is_in(compacted.column(LEDGER_KEY), pa.array(_NEVER_IN_META)))
    rows = compacted.filter(told)
    if isinstance(rows, pa.Table):
        rows = rows.combine_chunks()
    keys, before, after, known, ledger = (
        _flat(rows.column(name)) for name in (LEDGER_KEY, "pre_xdr", "post_xdr", "pre_known", LEDGER)
    )
    return pa.record_batch([_hashes(keys), _hashes(after), _hashes(before), known, keys, ledger], schema=CHANGE_SCHEMA)


def last_of_each(rows: pa.RecordBatch | pa.Table, key: str) -> pa.RecordBatch | pa.Table:
    """Keep the last row of each key, in the order of the rows."""
    placed = pa.table({"key": rows.column(key), "place": pa.array(range(rows.num_rows), pa.int64())})
    places = placed.group_by("key").aggregate([("place", "max")]).column("place_max")
    return rows.take(places.combine_chunks().sort())


def spill_fingerprints(plan: VerifyPlan, path: str, batch: pa.RecordBatch) -> None:
    """Write fingerprints to the work directory so that one partition of key hashes can be read without the others.

    The file starts with the place of each partition and the end of the last; each partition is an Arrow IPC stream.
    """
    parts = [batch_to_ipc(part) for part in partition_batches(batch, plan.partitions)]
    places = list(accumulate((len(part) for part in parts), initial=(plan.partitions + 1) * _PLACE.size))
    plan.work.write(path, b"".join([*map(_PLACE.pack, places), *parts]))


def read_fingerprints(plan: VerifyPlan, paths: tuple[str, ...], partition: int, schema: pa.Schema) -> pa.Table:
    """Read one partition of spilled fingerprints, files in the order given."""
    batches = []
    for path in paths:
        begin, end = _PLACES.unpack(plan.work.read(path, partition * _PLACE.size, _PLACES.size))
        batches.append(batch_from_ipc(plan.work.read(path, begin, end - begin)))
    return pa.Table.from_batches(batches, schema)


def _hashes(values: pa.Array) -> pa.Array:
    return pa.array(_kernel.sha256_array(values))


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
