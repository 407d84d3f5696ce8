"""The rows of a checkpoint's state, one unit after another in this process; nothing is written but spilled rows."""

from __future__ import annotations

from collections.abc import Iterator

from aurora_ingest.transforms.build_plan import StateBuildPlan
from aurora_ingest.transforms.ledger_unit import PARTITION, RANGE, TOTALS, LedgerUnit, Receipt
from aurora_ingest.transforms.processors import by_table
from aurora_ingest.transforms.processors.processor import processed
from aurora_ingest.transforms.read_history_archive import streamed_units
from aurora_ingest.transforms.second_stage import partition_unit, totals_unit
from aurora_ingest.transforms.spill import spill_partials


def snapshot_rows(plan: StateBuildPlan) -> Iterator[LedgerUnit]:
    """Yield the units of a state build with their tables filled, made by the same steps as the build's.

    Memory is that of one unit. A reader that stops early leaves only files in the plan's work directory.

    Args:
        plan: the state; no sink of it is opened.

    Raises:
        AuroraError: as `streamed_units` and the processors.
    """
    receipts: list[Receipt] = []

    def filled(unit: LedgerUnit, stage: str) -> LedgerUnit:
        for process in by_table(plan.tables):
            if process.spec.stage == stage:
                unit = processed(unit, process.spec)
        unit = spill_partials(unit, plan.work, plan.split.partitions)
        receipts.append(unit.receipt)
        return unit

    for unit in streamed_units(plan):
        yield filled(unit, RANGE)
    if plan.has_partitions:
        ranges = tuple(receipts)
        for partition in range(plan.split.partitions):
            yield filled(partition_unit(plan, partition, ranges), PARTITION)
    if plan.has_totals:
        yield filled(totals_unit(plan, tuple(receipts)), TOTALS)
