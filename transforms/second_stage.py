"""The units of a snapshot's later stages: entries joined with their TTL by key hash, and sums over all ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam import pvalue

from aurora_ingest.errors import StateError
from aurora_ingest.transforms.build_plan import StateBuildPlan
from aurora_ingest.transforms.ledger_unit import PARTITION, TOTALS, LedgerUnit, Receipt, SpillFile
from aurora_ingest.transforms.processors import PARTIAL_SCHEMAS, sum_partials
from aurora_ingest.transforms.spill import KEY_HASH, read_spill
from aurora_ingest.transforms.work_dir import WorkDir

ASSET_CONTRACTS = "asset_contracts"
TTL = "ttl"
TOTALED = ("exp_asset_stats", "contract_asset_stats")


def _spills(receipts: Iterable[Receipt], partial: str) -> list[SpillFile]:
    """Return the files of one partial table in the order of their units, whatever order the receipts came in."""
    ordered = sorted(receipts, key=lambda receipt: (receipt.kind, receipt.index))
    return [spill for receipt in ordered for spill in receipt.spills if spill.partial == partial]


def join_ttl(work: WorkDir, entries: list[SpillFile], ttls: list[SpillFile], partition: int) -> pa.RecordBatch:
    """Join the asset-contract rows of one hash partition with their TTL.

    The TTL rows, which may be many, pass file by file; only those that meet an entry are kept.

    Args:
        work: the build's work directory.
        entries: spilled files of ``partial:asset_contracts``.
        ttls: spilled files of ``partial:ttl``.
        partition: the hash partition.

    Returns:
        The rows of ``partial:asset_contracts`` sorted by key_hash, with ``live_until_ledger`` (int64).

    Raises:
        StateError: an entry has no TTL, which no ledger of a real network shows.
    """
    schema = PARTIAL_SCHEMAS[ASSET_CONTRACTS]
    rows = pa.Table.from_batches([read_spill(work, spill, partition) for spill in entries], schema)
    rows = rows.sort_by(KEY_HASH).combine_chunks()
    hashes = rows.column(KEY_HASH)
    met = []
    if len(rows):
        for spill in ttls:
            batch = read_spill(work, spill, partition)
            met.append(batch.filter(pc.is_in(batch.column(KEY_HASH), hashes)))
    found = pa.Table.from_batches(met, PARTIAL_SCHEMAS[TTL])
    place = pc.index_in(hashes, found.column(KEY_HASH))
    if place.null_count:
        lost = hashes.filter(pc.is_null(place))
        message = (
            f"{len(lost)} asset-contract entries have no TTL entry, the first has key hash {lost[0].as_py().hex()}; "
            "the checkpoint's state contradicts itself: use another checkpoint or mirror"
        )
        raise StateError(message)
    live_until = found.column("live_until_ledger").take(place)
    joined = rows.append_column(pa.field("live_until_ledger", pa.int64(), nullable=False), live_until)
    return _one_batch(joined)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def partition_unit(plan: StateBuildPlan, partition: int, receipts: Iterable[Receipt]) -> LedgerUnit:
    """Build the unit of one hash partition from the spilled rows of all ranges."""
    receipts = list(receipts)
    joined = join_ttl(plan.work, _spills(receipts, ASSET_CONTRACTS), _spills(receipts, TTL), partition)
    return _unit(plan, PARTITION, partition, plan.split.partitions, {"asset_contract_rows": joined})


def totals_unit(plan: StateBuildPlan, receipts: Iterable[Receipt]) -> LedgerUnit:
    """Build the one unit of sums: every additive table's partial rows of all units, summed by key."""
    receipts = list(receipts)
    sums = {}
    for name in TOTALED:
        if name in plan.tables:
            sums[name] = sum_partials(name, (read_spill(plan.work, spill) for spill in _spills(receipts, name)))
    return _unit(plan, TOTALS, 0, 1, sums)


def _unit(plan: StateBuildPlan, kind: str, index: int, count: int, post: dict[str, pa.RecordBatch]) -> LedgerUnit:
    last = index == count - 1
    receipt = Receipt(kind, index, last)
    return LedgerUnit(kind, index, last, plan.checkpoint, plan.checkpoint, {}, post, {}, receipt)


def _done_unit(plan: StateBuildPlan, receipt: Receipt) -> LedgerUnit:
    return LedgerUnit(
        receipt.kind, receipt.index, receipt.last, plan.checkpoint, plan.checkpoint, {}, {}, {}, receipt, done=True
    )


class _ReadPartitionFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The join of one hash partition."""

    def __init__(self, plan: StateBuildPlan) -> None:
        self._plan = plan

    def process(self, partition: int, receipts: list[Receipt]) -> Iterator[LedgerUnit]:
        stored = self._plan.finished.get((PARTITION, partition))
        yield _done_unit(self._plan, stored) if stored else partition_unit(self._plan, partition, receipts)


class _ReadTotalsFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The sums over all ranges and partitions."""

    def __init__(self, plan: StateBuildPlan) -> None:
        self._plan = plan

    def process(self, _build_id: str, *receipts: list[Receipt]) -> Iterator[LedgerUnit]:
        stored = self._plan.finished.get((TOTALS, 0))
        every = [receipt for some in receipts for receipt in some]
        yield _done_unit(self._plan, stored) if stored else totals_unit(self._plan, every)


class ReadSpilledPartitions(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Receipts of all key ranges → one LedgerUnit per partition of key hashes, entries joined with their TTL.

    Bounded. Waits for every receipt (side input of small values), then works on the partitions in parallel; rows
    come from the work directory. Each unit is a pure function of the spilled files. Fails on an entry without TTL.
    """

    def __init__(self, plan: StateBuildPlan) -> None:
        """Keep the plan."""
        super().__init__()
        self._plan = plan

    def expand(self, receipts: beam.PCollection[Receipt]) -> beam.PCollection[LedgerUnit]:
        """Wire the partitions and the barrier."""
        return (
            receipts.pipeline
            | "CreatePartitions" >> beam.Create(range(self._plan.split.partitions))
            | "SpreadPartitions" >> beam.Reshuffle()
            | "ReadPartitions"
            >> beam.ParDo(_ReadPartitionFn(self._plan), pvalue.AsList(receipts)).with_output_types(LedgerUnit)
        )


class ReadTotals(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Receipts of all earlier units → the one LedgerUnit of sums, the second half of two-stage sums.

    Bounded. Waits for every receipt; memory grows with the number of distinct keys, not of rows. Not parallel.
    """

    def __init__(self, plan: StateBuildPlan) -> None:
        """Keep the plan."""
        super().__init__()
        self._plan = plan

    def expand(self, receipts: tuple[beam.PCollection[Receipt], ...]) -> beam.PCollection[LedgerUnit]:
        """Wire the barrier."""
        sides = [pvalue.AsList(some) for some in receipts]
        return (
            receipts[0].pipeline
            | "CreateTotals" >> beam.Create([self._plan.build_id])
            | "ReadTotals" >> beam.ParDo(_ReadTotalsFn(self._plan), *sides).with_output_types(LedgerUnit)
        )
