"""Putting a unit's partial rows aside for the second stage, partitioned by key hash, in the work directory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import apache_beam as beam
import numpy as np
import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, LedgerUnit, SpillFile
from aurora_ingest.transforms.work_dir import WorkDir

KEY_HASH = "key_hash"


def partition_of(key_hashes: pa.FixedSizeBinaryArray, partitions: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the partition of each 32-byte key hash: its first byte, scaled to ``partitions``.

    Args:
        key_hashes: fixed_size_binary[32] without nulls, length n.
        partitions: number of partitions, 1 to 256.

    Returns:
        int64 array of length n; partitions ascend with the hashes.
    """
    width = key_hashes.type.byte_width
    raw = np.frombuffer(key_hashes.buffers()[1], dtype=np.uint8)
    first = raw[key_hashes.offset * width : (key_hashes.offset + len(key_hashes)) * width : width]
    return first.astype(np.int64) * partitions // 256


def partition_batches(batch: pa.RecordBatch, partitions: int) -> list[pa.RecordBatch]:
    """Split a batch with a ``key_hash`` column into one batch per partition, keeping the row order inside each."""
    owner = partition_of(batch.column(KEY_HASH), partitions)
    order = np.argsort(owner, kind="stable")
    ordered = batch.take(pa.array(order))
    bounds = np.searchsorted(owner[order], np.arange(partitions + 1))
    return [ordered.slice(low, high - low) for low, high in pairwise(bounds)]


def spill_partials(unit: LedgerUnit, work: WorkDir, partitions: int) -> LedgerUnit:
    """Write the unit's partial tables to the work directory and note them in its receipt.

    File names depend on the unit alone, so a second run of the same unit replaces the same bytes. Empty partial
    tables leave no file.

    Args:
        unit: a unit with ``partial:`` tables.
        work: the build's work directory.
        partitions: number of hash partitions for tables that have a ``key_hash``.
    """
    spills = []
    for name, batch in unit.tables.items():
        if not name.startswith(PARTIAL_PREFIX) or batch.num_rows == 0:
            continue
        partial = name.removeprefix(PARTIAL_PREFIX)
        partitioned = KEY_HASH in batch.schema.names
        path = f"spill/{partial}/{unit.kind}-{unit.index:05d}.arrow"
        work.write(path, _ipc_file(partition_batches(batch, partitions) if partitioned else [batch]))
        spills.append(SpillFile(partial, path, batch.num_rows, partitioned))
    return unit.with_receipt(spills=tuple(spills))


def _ipc_file(batches: list[pa.RecordBatch]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def read_spill(work: WorkDir, spill: SpillFile, partition: int | None = None) -> pa.RecordBatch:
    """Read one spilled file back, or one hash partition of it.

    Args:
        work: the build's work directory.
        spill: the file as its receipt names it.
        partition: which hash partition to read; None for a table that is not partitioned.
    """
    with pa.ipc.open_file(pa.py_buffer(work.read(spill.path))) as reader:
        return reader.get_batch(partition or 0)


class _SpillPartialsFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Spilling of one unit."""

    def __init__(self, work: WorkDir, partitions: int) -> None:
        self._work = work
        self._partitions = partitions

    def process(self, unit: LedgerUnit) -> Iterator[LedgerUnit]:
        yield unit if unit.done else spill_partials(unit, self._work, self._partitions)


class SpillPartials(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """LedgerUnits → the same LedgerUnits, with their partial tables put aside in files.

    Bounded or unbounded, any order, fully parallel; running a unit twice writes the same file twice. Only the
    names of the files travel on, in the receipts: no rows are shuffled.
    """

    def __init__(self, work: WorkDir, partitions: int) -> None:
        """Keep the work directory and the number of hash partitions."""
        super().__init__()
        self._work = work
        self._partitions = partitions

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[LedgerUnit]:
        """Wire the ParDo."""
        return units | beam.ParDo(_SpillPartialsFn(self._work, self._partitions)).with_output_types(LedgerUnit)
