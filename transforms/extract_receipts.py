"""The end of every chain: what a written unit leaves for the rest of the graph, for counters and for log lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import BooleanCoder, FloatCoder, VarIntCoder
from apache_beam.transforms.userstate import CombiningValueStateSpec, ReadModifyWriteStateSpec

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


class _ReportFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """One counter for all key ranges, so that a line appears once per interval whoever merged them."""

    ENTRIES = CombiningValueStateSpec("entries", VarIntCoder(), sum)
    RANGES = CombiningValueStateSpec("ranges", VarIntCoder(), sum)
    TOTAL = CombiningValueStateSpec("total", VarIntCoder(), sum)
    STARTED = ReadModifyWriteStateSpec("started", FloatCoder())
    ENDED = ReadModifyWriteStateSpec("ended", BooleanCoder())

    def __init__(self, checkpoint: int) -> None:
        self._checkpoint = checkpoint

    def process(  # one parameter per state cell, as Beam wants it
        self,
        keyed: tuple[int, Receipt],
        entries: Any = beam.DoFn.StateParam(ENTRIES),  # noqa: B008  # Beam's parameter protocol
        ranges: Any = beam.DoFn.StateParam(RANGES),  # noqa: B008
        total: Any = beam.DoFn.StateParam(TOTAL),  # noqa: B008
        started: Any = beam.DoFn.StateParam(STARTED),  # noqa: B008
        ended: Any = beam.DoFn.StateParam(ENDED),  # noqa: B008
    ) -> None:
        _, receipt = keyed
        reporter = metrics.LoggingStateReporter(_log, clock=time.time)
        if started.read() is None:
            reporter.on_start_state(self._checkpoint)
            started.write(time.time())
        reporter.restore(self._checkpoint, entries.read(), started.read())
        count = sum(receipt.entries.values())
        reporter.on_state_entries(count)
        entries.add(count)
        ranges.add(1)
        if receipt.last:
            total.add(receipt.index + 1)
        if ranges.read() == total.read() and not ended.read():
            reporter.on_end_state()
            ended.write(True)


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
