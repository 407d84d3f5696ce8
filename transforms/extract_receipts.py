"""The end of every chain: what a written unit leaves for the rest of the graph, for counters and for log lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.coders import PickleCoder
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.ledger_unit import LedgerUnit, Receipt

_log = logging.getLogger("aurora_ingest.state")


class _ReceiptFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The receipt of one unit; counts entries and rows as Beam counters."""

    def process(self, unit: LedgerUnit) -> Iterator[Receipt]:
        receipt = unit.receipt
        entries = sum(receipt.entries.values())
        beam.metrics.Metrics.counter("aurora_ingest", "entries").inc(entries)
        for table, rows in receipt.rows.items():
            beam.metrics.Metrics.counter("aurora_ingest", f"rows_{table}").inc(rows)
        metrics.publish(metrics.RangeFinished(receipt.index, entries, receipt.rows))
        yield receipt


class ExtractReceipts(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Written LedgerUnits → their Receipts; the rows end here.

    Bounded or unbounded, any order, fully parallel. A retried bundle emits equal receipts again.
    """

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[Receipt]:
        """Wire the ParDo."""
        return units | beam.ParDo(_ReceiptFn()).with_output_types(Receipt)


@dataclass(frozen=True)
class _Count:
    """What has been read so far by all workers together."""

    started: float
    entries: int = 0
    ranges: int = 0
    ranges_total: int = 0


class _ReportFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """One counter for all key ranges, so that a line appears once per interval whoever merged them."""

    COUNT = ReadModifyWriteStateSpec("count", PickleCoder())

    def __init__(self, checkpoint: int) -> None:
        self._checkpoint = checkpoint

    def process(
        self,
        keyed: tuple[int, Receipt],
        state: Any = beam.DoFn.StateParam(COUNT),  # noqa: B008  # Beam's way to declare state
    ) -> None:
        _, receipt = keyed
        reporter = metrics.LoggingStateReporter(_log, clock=time.time)
        count = state.read()
        if count is None:
            reporter.on_start_state(self._checkpoint)
            count = _Count(time.time())
        reporter.restore(self._checkpoint, count.entries, count.started)
        entries = sum(receipt.entries.values())
        reporter.on_state_entries(entries)
        total = receipt.index + 1 if receipt.last else count.ranges_total
        count = _Count(count.started, count.entries + entries, count.ranges + 1, total)
        if count.ranges == count.ranges_total:
            reporter.on_end_state()
        state.write(count)


class ReportState(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Receipts of key ranges → log lines of the state reporter, on any runner; nothing comes out.

    Bounded. Shuffles the receipts to one key, where the count of all workers is kept as state.
    """

    def __init__(self, checkpoint: int) -> None:
        """Keep the ledger of the state."""
        super().__init__()
        self._checkpoint = checkpoint

    def expand(self, receipts: beam.PCollection[Receipt]) -> beam.PCollection[None]:
        """Wire the single key."""
        return (
            receipts
            | "KeyByOne" >> beam.WithKeys(0).with_output_types(tuple[int, Receipt])
            | "Report" >> beam.ParDo(_ReportFn(self._checkpoint))
        )
