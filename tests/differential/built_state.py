"""All tables of a checkpoint, made by the kernel's merge and the processors, without Beam and without sinks."""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest import _kernel
from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, PARTITION, RANGE, TOTALS, LedgerUnit, Receipt
from aurora_ingest.transforms.processors import PROCESSORS, TABLES, entry_columns, sum_partials
from aurora_ingest.transforms.processors.columns import one_batch
from aurora_ingest.transforms.processors.processor import processed
from differential.archive_files import bucket, live_buckets

TESTNET = "Test SDF Network ; September 2015"
PUBNET = "Public Global Stellar Network ; September 2015"
STANDALONE = "Standalone Network ; February 2017"
PARTITIONS = 4


def merged_ranges(
    archive: Path, checkpoint: int, passphrase: str, tables: tuple[str, ...], **cut: int
) -> Iterator[dict[str, pa.RecordBatch]]:
    """Yields the entry batches of every key range of a checkpoint."""
    names = live_buckets(archive, checkpoint)
    merger = _kernel.BucketMerger(
        [_kernel.BucketSource(name, "gzip", bytes.fromhex(name)) for name in names],
        columns=entry_columns(tables),
        network_id=hashlib.sha256(passphrase.encode()).digest(),
        **cut,
    )
    fed: set[int] = set()
    while (step := merger.advance()) is not None:
        if not isinstance(step, int):
            yield {table: pa.record_batch(batch) for table, batch in step.batches}
        elif step in fed:
            merger.end(step)
        else:
            merger.feed(step, bucket(archive, names[step]))
            fed.add(step)


def units(archive: Path, checkpoint: int, passphrase: str, tables: tuple[str, ...], **cut: int) -> Iterator[LedgerUnit]:
    """Yields the range units of a checkpoint."""
    for index, post in enumerate(merged_ranges(archive, checkpoint, passphrase, tables, **cut)):
        yield unit_of(RANGE, index, checkpoint, post)


def unit_of(kind: str, index: int, ledger: int, post: dict[str, pa.RecordBatch]) -> LedgerUnit:
    """Returns a unit with entries and no tables yet."""
    return LedgerUnit(
        kind=kind,
        index=index,
        last=False,
        first_ledger=ledger,
        last_ledger=ledger,
        pre={},
        post=post,
        tables={},
        receipt=Receipt(kind, index, last=False),
    )


def chained(unit: LedgerUnit) -> LedgerUnit:
    """Returns the unit behind all processors of its stage."""
    for process in PROCESSORS:
        if process.spec.stage == unit.kind:
            unit = processed(unit, process.spec)
    return unit


def joined_with_ttl(entries: pa.Table, ttl: pa.Table) -> pa.RecordBatch:
    """Returns asset-contract rows with their live_until_ledger, sorted by key hash; joined row by row in Python."""
    until = dict(zip(ttl.column("key_hash").to_pylist(), ttl.column("live_until_ledger").to_pylist(), strict=True))
    lives = pa.array([until[key] for key in entries.column("key_hash").to_pylist()], pa.int64())
    field = pa.field("live_until_ledger", pa.int64(), nullable=False)
    return one_batch(entries.append_column(field, lives).sort_by("key_hash"))


@functools.cache
def built_state(
    archive: Path, checkpoint: int, passphrase: str, segment_records: int = 512, segments_per_range: int = 4
) -> dict[str, pa.Table]:
    """Returns all tables of a checkpoint, made in key ranges, hash partitions and totals as a build makes them."""
    cut = {"segment_records": segment_records, "segments_per_range": segments_per_range}
    made: dict[str, list[pa.RecordBatch]] = defaultdict(list)

    def finish(unit: LedgerUnit) -> None:
        for table, batch in chained(unit).tables.items():
            made[table].append(batch)

    for unit in units(archive, checkpoint, passphrase, TABLES, **cut):
        finish(unit)
    entries, ttl = (pa.Table.from_batches(made[PARTIAL_PREFIX + name]) for name in ("asset_contracts", "ttl"))
    first_bytes = pc.binary_slice(entries.column("key_hash").cast(pa.binary()), 0, 1).to_pylist()
    for partition in range(PARTITIONS):
        mine = pa.array([byte[0] % PARTITIONS == partition for byte in first_bytes], pa.bool_())
        joined = joined_with_ttl(entries.filter(mine), ttl)
        finish(unit_of(PARTITION, partition, checkpoint, {"asset_contract_rows": joined}))
    sums = ("exp_asset_stats", "contract_asset_stats")
    totals = {table: sum_partials(table, made[PARTIAL_PREFIX + table]) for table in sums}
    finish(unit_of(TOTALS, 0, checkpoint, totals))
    return {table: pa.Table.from_batches(made[table]) for table in TABLES}
