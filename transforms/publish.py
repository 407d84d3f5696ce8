"""Making a finished build the visible state, once every receipt of its plan is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam import pvalue

from aurora_ingest import __version__
from aurora_ingest.db import builds
from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.db.engine import connect
from aurora_ingest.db.publish import prepare_publish, publish
from aurora_ingest.errors import PublishError
from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.build_plan import StateBuildPlan
from aurora_ingest.transforms.ledger_unit import PARTITION, RANGE, TOTALS, Receipt
from aurora_ingest.transforms.write_parquet import ParquetDataset


@dataclass(frozen=True)
class PublishedState:
    """What a build made visible: the ledger, live entries by entry table and rows by table."""

    build_id: str
    checkpoint: int
    entries: dict[str, int]
    rows: dict[str, int]


def check_complete(receipts: Iterable[Receipt], kinds: Iterable[str]) -> list[Receipt]:
    """Check that the receipts are the whole plan: of each kind 0, 1, 2 … once each, up to the one marked last.

    Args:
        receipts: all receipts, in any order.
        kinds: the kinds of unit that the plan has.

    Returns:
        The receipts sorted by kind and index.

    Raises:
        PublishError: a unit is missing or there twice.
    """
    ordered = sorted(receipts, key=lambda receipt: (receipt.kind, receipt.index))
    for kind in kinds:
        mine = [receipt for receipt in ordered if receipt.kind == kind]
        indexes = [receipt.index for receipt in mine]
        lasts = [receipt.index for receipt in mine if receipt.last]
        if indexes != list(range(len(mine))) or lasts != [len(mine) - 1]:
            missing = sorted(set(range(max(indexes, default=0) + 1)) - set(indexes))
            message = (
                f"build is not complete: {kind} units {len(mine)}, missing {missing[:10]}, marked last {lasts}; "
                "nothing was published: run the build again with --resume"
            )
            raise PublishError(message)
    return ordered


def publish_state(plan: StateBuildPlan, receipts: Iterable[Receipt]) -> PublishedState:
    """Publish the Parquet files and the SQL tables of a complete build; running it again changes nothing.

    Args:
        plan: the build.
        receipts: the receipts of every unit.

    Raises:
        PublishError: receipts and plan, or counts and staging tables, do not agree; or the swap was not possible.
    """
    kinds = [RANGE, *([PARTITION] if plan.has_partitions else []), *([TOTALS] if plan.has_totals else [])]
    ordered = check_complete(receipts, kinds)
    rows: Counter[str] = Counter(dict.fromkeys(plan.tables, 0))
    entries: Counter[str] = Counter()
    for receipt in ordered:
        rows.update(receipt.rows)
        entries.update(receipt.entries)
    metrics.publish(metrics.PublishStarted(plan.checkpoint))
    if plan.parquet_dir is not None:
        facts: dict[str, str | int] = {
            "network_passphrase": plan.network.passphrase,
            "ledger_hash": plan.ledger_hash,
            "protocol_version": plan.protocol_version,
            "ingestion_version": CURRENT_VERSION,
            "aurora_ingest": __version__,
        }
        ParquetDataset(plan.parquet_dir, plan.build_id, plan.checkpoint).publish(plan.tables, ordered, facts)
    if plan.db_url is not None and plan.database_build is not None:
        engine = connect(plan.db_url)
        try:
            with builds.Heartbeat(engine, plan.database_build):
                prepare_publish(engine, plan.database_build)
                publish(engine, plan.database_build, plan.checkpoint, CURRENT_VERSION)
        finally:
            engine.dispose()
    plan.work.remove()
    metrics.publish(metrics.BuildFinished(plan.checkpoint, dict(rows)))
    return PublishedState(plan.build_id, plan.checkpoint, dict(entries), dict(rows))


class _PublishFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Publishing, once all receipts are there."""

    def __init__(self, plan: StateBuildPlan) -> None:
        self._plan = plan

    def process(self, _build_id: str, *receipts: list[Receipt]) -> Iterator[PublishedState]:
        yield publish_state(self._plan, [receipt for some in receipts for receipt in some])


class PublishState(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Receipts of every unit → one PublishedState, after the build has become the visible state.

    Bounded. Hangs on one element and waits for all receipts as side inputs; idempotent, so a retried bundle is
    harmless. Fails, with the former state still in place, when a unit is missing or the counts differ.
    """

    def __init__(self, plan: StateBuildPlan) -> None:
        """Keep the plan."""
        super().__init__()
        self._plan = plan

    def expand(self, receipts: tuple[beam.PCollection[Receipt], ...]) -> beam.PCollection[PublishedState]:
        """Wire the barrier."""
        sides = [pvalue.AsList(some) for some in receipts]
        return (
            receipts[0].pipeline
            | "CreatePublish" >> beam.Create([self._plan.build_id])
            | "Publish" >> beam.ParDo(_PublishFn(self._plan), *sides).with_output_types(PublishedState)
        )
