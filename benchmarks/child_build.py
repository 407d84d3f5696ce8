"""Builds a state through Beam, or by a plain loop over the very same functions, and prints what it took."""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

from archive_writer import WrittenArchive
from measure import own_peak_rss

from aurora_ingest.db import builds
from aurora_ingest.db.engine import connect
from aurora_ingest.network import Network
from aurora_ingest.pipelines.build_state import build_state, open_sinks, plan_state_build
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.runners import launch
from aurora_ingest.transforms.build_plan import StateBuildPlan
from aurora_ingest.transforms.ledger_unit import LedgerUnit, Receipt
from aurora_ingest.transforms.processors import by_table
from aurora_ingest.transforms.processors.processor import processed
from aurora_ingest.transforms.publish import publish_state
from aurora_ingest.transforms.read_history_archive import streamed_units
from aurora_ingest.transforms.second_stage import partition_unit, totals_unit
from aurora_ingest.transforms.spill import spill_partials
from aurora_ingest.transforms.write_parquet import ParquetDataset
from aurora_ingest.transforms.write_sql import write_unit


def run_with_beam(plan: StateBuildPlan) -> None:
    """Build as the command line does."""
    launch.run(lambda pipeline: build_state(pipeline, plan), launch.choose_engine([]))


def run_bare(plan: StateBuildPlan) -> None:
    """Build the same state without Beam: same readers, processors, spill, writers and publish, in one loop."""
    processes = by_table(plan.tables)
    dataset = None if plan.parquet_dir is None else ParquetDataset(plan.parquet_dir, plan.build_id, plan.checkpoint)
    engine = None if plan.db_url is None else connect(plan.db_url)

    def built(unit: LedgerUnit) -> Receipt:
        for process in processes:
            if process.spec.stage == unit.kind:
                unit = processed(unit, process.spec)
        unit = spill_partials(unit, plan.work, plan.split.partitions)
        if dataset is not None:
            unit = dataset.write_unit(unit)
        if engine is not None and plan.database_build is not None:
            unit = write_unit(engine, plan.database_build, unit)
        return unit.receipt

    def all_units() -> list[Receipt]:
        receipts = [built(unit) for unit in streamed_units(plan)]
        ranges = list(receipts)
        if plan.has_partitions:
            receipts += [built(partition_unit(plan, number, ranges)) for number in range(plan.split.partitions)]
        if plan.has_totals:
            receipts.append(built(totals_unit(plan, receipts)))
        return receipts

    if engine is not None and plan.database_build is not None:
        with builds.Heartbeat(engine, plan.database_build):
            receipts = all_units()
        engine.dispose()
    else:
        receipts = all_units()
    publish_state(plan, receipts)


def main() -> None:
    """Run ``child_build.py beam|bare ARCHIVE --parquet DIR|--db-url URL``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("how", choices=["beam", "bare"])
    parser.add_argument("archive", type=Path)
    parser.add_argument("--parquet")
    parser.add_argument("--db-url")
    parser.add_argument("--tables")
    arguments = parser.parse_args()
    archive = WrittenArchive.load(arguments.archive)
    options = BuildStateOptions(
        network=Network(archive.passphrase),
        archive_urls=(archive.url,),
        checkpoint=archive.checkpoint,
        db_url=arguments.db_url,
        parquet_dir=arguments.parquet,
        tables=None if arguments.tables is None else tuple(arguments.tables.split(",")),
        work_dir=None if arguments.parquet else f"{arguments.archive}-work",
        abandon=True,
    )
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    plan = open_sinks(plan_state_build(options))
    (run_with_beam if arguments.how == "beam" else run_bare)(plan)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_rss_bytes": own_peak_rss()}))


if __name__ == "__main__":
    main()
