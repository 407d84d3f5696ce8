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
        pa.field(LEDGER_KEY, pa.binary(), nullable=False),
        pa.field(LEDGER, pa.int64(), nullable=False),
    ]
)
"""The last change of a key: the entry's hash, null if it was removed or evicted, and the ledger of the change."""

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


def change_fingerprints(changes: pa.RecordBatch) -> pa.RecordBatch:
    """Fingerprint the last change of each key.

    Args:
        changes: the kernel's table of changes: ``ledger_key``, ``post_xdr``, ``ledger_sequence``, in order.

    Returns:
        `CHANGE_SCHEMA`, one row per key, in order of its last change.
    """
    keys = changes.column(LEDGER_KEY)
    told = pc.invert(pc.is_in(keys, pa.array(_NEVER_IN_META)))
    changes = last_of_each(changes.filter(told), LEDGER_KEY)
    return pa.record_batch(
        [
            _hashes(changes.column(LEDGER_KEY)),
            _hashes(changes.column("post_xdr")),
            changes.column(LEDGER_KEY),
            changes.column(LEDGER),
        ],
        schema=CHANGE_SCHEMA,
    )


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
