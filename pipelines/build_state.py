"""The state build: a checkpoint of a history archive becomes SQL tables and Parquet, exact at that ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam

from aurora_ingest.db import builds
from aurora_ingest.db.engine import connect
from aurora_ingest.errors import UsageError
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.object_store.store import is_remote, joined, require_store
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.transforms.build_plan import DEFAULT_MEMORY, SplitRule, StateBuildPlan
from aurora_ingest.transforms.extract_receipts import ExtractReceipts, ReportState
from aurora_ingest.transforms.ledger_unit import PARTITION, RANGE, TOTALS, LedgerUnit, Receipt
from aurora_ingest.transforms.processors import TABLES, by_table
from aurora_ingest.transforms.publish import PublishedState, PublishState
from aurora_ingest.transforms.read_history_archive import ReadFromHistoryArchive
from aurora_ingest.transforms.second_stage import ReadSpilledPartitions, ReadTotals
from aurora_ingest.transforms.spill import SpillPartials
from aurora_ingest.transforms.write_parquet import ParquetDataset, WriteToParquet
from aurora_ingest.transforms.write_sql import WriteToSql

_STAGE_LABELS = {RANGE: "Ranges", PARTITION: "Partitions", TOTALS: "Totals"}


def plan_state_build(options: BuildStateOptions, memory: int = DEFAULT_MEMORY) -> StateBuildPlan:
    """Prove the checkpoint from the archive and settle what will be built; nothing is written.

    Args:
        options: the request.
        memory: ceiling of the memory of one process, in bytes; it decides how the state is cut, so another ceiling
            may be another build.

    Raises:
        UsageError: no target, an unknown table, or too little memory.
        CheckpointError: the ledger is not a checkpoint.
        ArchiveError: no mirror serves the checkpoint.
        TrustError: a hash or the network does not agree.
    """
    if options.db_url is None and options.parquet_dir is None:
        message = "a state build needs a target: give --db-url, --parquet or both"
        raise UsageError(message)
    require_store(options.parquet_dir, "--parquet")
    require_store(options.work_dir, "--work-dir")
    split = SplitRule.for_memory(memory)
    unknown = sorted(set(options.tables or ()) - set(TABLES))
    if unknown:
        message = f"unknown tables {', '.join(unknown)}; known are {', '.join(TABLES)}"
        raise UsageError(message)
    archive = HistoryArchive(options.archive_urls, options.network, cache_dir=options.cache_dir)
    checkpoint = options.checkpoint
    if checkpoint is None:
        checkpoint = archive.latest_checkpoint()
    verified = archive.verify_checkpoint(checkpoint, trusted=options.trusted_ledger)
    tables = tuple(table for table in TABLES if options.tables is None or table in options.tables)
    return StateBuildPlan(
        network=options.network,
        archive=archive,
        checkpoint=checkpoint,
        ledger_hash=verified.ledger_hash,
        protocol_version=verified.protocol_version,
        buckets=verified.live_buckets,
        tables=tables,
        split=split,
        work_dir=options.work_dir or _default_work_dir(options),
        db_url=options.db_url,
        parquet_dir=options.parquet_dir,
        spread=options.spread,
        strict_bucket_algebra=options.strict_bucket_algebra,
        takeover_after=options.takeover_after,
        resume=options.resume,
        abandon=options.abandon,
    )


def _default_work_dir(options: BuildStateOptions) -> str:
    """Choose a folder that outlives a crash: beside the Parquet datasets on a disk, else the user's cache."""
    if options.parquet_dir is not None and not is_remote(options.parquet_dir):
        return joined(options.parquet_dir, ".work")
    return str(Path.home() / ".cache" / "aurora-ingest" / "work")


def open_sinks(plan: StateBuildPlan) -> StateBuildPlan:
    """Start the build in its targets, or take up an unfinished one.

    Returns:
        The plan with the opened database build and the receipts of the units that need not be done again.

    Raises:
        UnfinishedBuildError: an unfinished build is there and neither resume nor abandon was asked for.
        MigrationError: the database's schema is not ours.
        NetworkMismatchError: the database holds another network.
    """
    finished: list[dict[tuple[str, int], Receipt]] = []
    database_build = None
    if plan.db_url is not None:
        engine = connect(plan.db_url)
        try:
            if plan.abandon:
                builds.abandon_build(engine)
            database_build = builds.open_build(
                engine,
                builds.BuildPlan(
                    build_id=plan.build_id,
                    checkpoint=plan.checkpoint,
                    ledger_hash=plan.ledger_hash,
                    network_passphrase=plan.network.passphrase,
                    tables=plan.tables,
                ),
                resume=plan.resume,
                takeover_after=plan.takeover_after,
            )
            stored = builds.finished(engine, database_build)
        finally:
            engine.dispose()
        finished.append({place: Receipt.from_json(payload) for place, payload in stored.items()})
    if plan.parquet_dir is not None:
        dataset = ParquetDataset(plan.parquet_dir, plan.build_id, plan.checkpoint)
        finished.append(dataset.open(resume=plan.resume, abandon=plan.abandon))
    everywhere = set.intersection(*(set(some) for some in finished))
    kept = {place: finished[0][place] for place in everywhere}
    kept = {place: r for place, r in kept.items() if all(plan.work.exists(spill.path) for spill in r.spills)}
    return dataclasses.replace(plan, database_build=database_build, finished=kept)


class _BuildUnits(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """LedgerUnits of one stage → receipts: the chain of its processors, then the sinks."""

    def __init__(self, plan: StateBuildPlan, stage: str) -> None:
        super().__init__()
        self._plan = plan
        self._stage = stage

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[Receipt]:
        for label, step in _chain(self._plan, self._stage):
            units = units | label >> step
        return units


def _chain(plan: StateBuildPlan, stage: str) -> Iterator[tuple[str, beam.PTransform]]:
    """Yield the steps of one stage with their labels."""
    for process in by_table(plan.tables):
        if process.spec.stage == stage:
            yield process.__name__, process()
    yield "SpillPartials", SpillPartials(plan.work, plan.split.partitions)
    if plan.parquet_dir is not None:
        yield "WriteToParquet", WriteToParquet(ParquetDataset(plan.parquet_dir, plan.build_id, plan.checkpoint))
    if plan.db_url is not None:
        yield "WriteToSql", WriteToSql(plan.db_url, plan.database_build or _unopened(plan))
    yield "ExtractReceipts", ExtractReceipts()


def _unopened(plan: StateBuildPlan) -> builds.Build:
    """Return a build that may write nothing, to draw the graph of a plan whose sinks are not open."""
    return builds.Build(plan.build_id, 0, plan.tables, plan.network.passphrase)


def stage_steps(plan: StateBuildPlan) -> dict[str, tuple[str, ...]]:
    """Return the steps of the chain of each stage, by the label of the stage.

    Args:
        plan: a plan; its sinks need not be open.
    """
    return {
        f"Build{label}": tuple(name for name, _ in _chain(plan, stage))
        for stage, label in _STAGE_LABELS.items()
        if stage in {RANGE, *plan.stages}
    }


def build_state(pipeline: beam.Pipeline, plan: StateBuildPlan) -> beam.PCollection[PublishedState]:
    """Add the whole state build to a pipeline.

    Key ranges first; then, where tables need it, the partitions of key hashes (entries with their TTL) and the
    sums; then one publish that waits for every receipt.

    Args:
        pipeline: where to add it.
        plan: a plan whose sinks are open.

    Returns:
        One PublishedState.
    """
    units = pipeline | "ReadFromHistoryArchive" >> ReadFromHistoryArchive(plan)
    receipts = [units | "BuildRanges" >> _BuildUnits(plan, RANGE)]
    if plan.spread:
        _ = receipts[0] | "ReportState" >> ReportState(plan.checkpoint)
    if plan.has_partitions:
        partitions = receipts[0] | "ReadSpilledPartitions" >> ReadSpilledPartitions(plan)
        receipts.append(partitions | "BuildPartitions" >> _BuildUnits(plan, PARTITION))
    if plan.has_totals:
        totals = tuple(receipts) | "ReadTotals" >> ReadTotals(plan)
        receipts.append(totals | "BuildTotals" >> _BuildUnits(plan, TOTALS))
    return tuple(receipts) | "PublishState" >> PublishState(plan)
