"""Reingests a lake to Parquet by a plain loop over the functions that the graph is made of, and prints what it took."""

from __future__ import annotations

import argparse
import json
import resource
import time

from measure import own_peak_rss

from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.network import Network
from aurora_ingest.pipelines.options import ReingestOptions
from aurora_ingest.pipelines.reingest_range import ReingestPlan, open_targets, plan_reingest
from aurora_ingest.transforms.partition_draft import PartitionDraft
from aurora_ingest.transforms.processors.processor import processed
from aurora_ingest.transforms.read_ledgers import read_chunks


def run_bare(plan: ReingestPlan) -> None:
    """Read, process and write every chunk, one after the other."""
    dataset = plan.dataset
    if dataset is None:
        raise ValueError("the plain loop writes Parquet: the plan needs a folder")
    with open_targets(plan):
        for chunk in plan.chunks:
            draft = PartitionDraft(dataset, chunk, plan.specs)
            for unit in read_chunks(plan.reading, [chunk]):
                for spec in plan.specs:
                    unit = processed(unit, spec)  # noqa: PLW2901  # the chain of the graph, written as a loop
                draft.write(unit)
            draft.publish()
        dataset.publish_manifest()


def main() -> None:
    """Run ``child_engines.py --network N --ledgers URL --from A --to B --parquet DIR``."""
    parser = argparse.ArgumentParser(description=__doc__)
    for flag in ("network", "ledgers", "parquet"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--from", dest="first", type=int, required=True)
    parser.add_argument("--to", dest="last", type=int, required=True)
    parser.add_argument("--chunk-ledgers", type=int, required=True)
    arguments = parser.parse_args()
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    run_bare(
        plan_reingest(
            ReingestOptions(
                network=Network.named(arguments.network),
                ledgers_url=arguments.ledgers,
                ledgers=LedgerRange(arguments.first, arguments.last),
                parquet_dir=arguments.parquet,
                chunk_ledgers=arguments.chunk_ledgers,
            )
        )
    )
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_rss_bytes": own_peak_rss()}))


if __name__ == "__main__":
    main()
