"""Builds a state in key ranges, as on an engine, and prints what went through the work directory beside the time."""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from archive_writer import WrittenArchive
from measure import own_peak_rss

from aurora_ingest.network import Network
from aurora_ingest.pipelines.build_state import build_state, open_sinks, plan_state_build
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.runners import launch
from aurora_ingest.transforms import publish
from aurora_ingest.transforms.build_plan import StateBuildPlan
from aurora_ingest.transforms.ledger_unit import Receipt
from aurora_ingest.transforms.work_dir import WorkDir

COUNTS: Counter[str] = Counter()


def count_files() -> None:
    """Add up the bytes that pass through the work directory."""
    write, read = WorkDir.write, WorkDir.read

    def counted_write(work: WorkDir, name: str, data: bytes) -> None:
        COUNTS["work_written"] += len(data)
        write(work, name, data)

    def counted_read(work: WorkDir, name: str, start: int = 0, length: int | None = None) -> bytes:
        data = read(work, name, start, length)
        COUNTS["work_read"] += len(data)
        return data

    WorkDir.write, WorkDir.read = counted_write, counted_read  # type: ignore[method-assign]  # a benchmark looks on


def count_receipts() -> None:
    """Add up the pickled size of what Beam shuffles: receipts, as the last step gets them."""
    plain = publish.publish_state

    def counted(plan: StateBuildPlan, receipts: Iterable[Receipt]) -> publish.PublishedState:
        found = list(receipts)
        COUNTS["units"] += len(found)
        COUNTS["shuffled"] += sum(len(pickle.dumps(receipt)) for receipt in found)
        return plain(plan, found)

    publish.publish_state = counted


def main() -> None:
    """Run ``child_scale.py ARCHIVE FOLDER``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    count_files()
    count_receipts()
    archive = WrittenArchive.load(arguments.archive)
    options = BuildStateOptions(
        network=Network(archive.passphrase),
        archive_urls=(archive.url,),
        checkpoint=archive.checkpoint,
        parquet_dir=str(arguments.folder / "tables"),
        work_dir=str(arguments.folder / "work"),
        spread=True,
        abandon=True,
    )
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    plan = open_sinks(plan_state_build(options))
    launch.run(lambda pipeline: build_state(pipeline, plan), launch.choose_engine([]))
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    parts = [path.stat().st_size for path in (arguments.folder / "tables").rglob("*.parquet")]
    shutil.rmtree(arguments.folder)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": cpu,
                "peak_rss_bytes": own_peak_rss(),
                "parquet_bytes": sum(parts),
                "parts": len(parts),
                **COUNTS,
            }
        )
    )


if __name__ == "__main__":
    main()
