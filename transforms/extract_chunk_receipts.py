"""The end of a history chain: one small receipt per chunk, and the manifest that waits for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.chunk_slices import chunk_of
from aurora_ingest.transforms.history_dataset import HistoryDataset
from aurora_ingest.transforms.ledger_unit import LedgerUnit


@dataclass(frozen=True)
class ChunkReceipt:
    """One chunk that is written and visible; ``rows`` are its rows by table, with those in quarantine."""

    first: int
    last: int
    rows: Mapping[str, int] = field(default_factory=dict)


class _ReceiptFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The receipt of a chunk's last slice; counts ledgers and rows as Beam counters."""

    def process(self, unit: LedgerUnit) -> Iterator[ChunkReceipt]:
        if not unit.last:
            return
        chunk = chunk_of(unit)
        rows = dict(unit.receipt.rows)
        beam.metrics.Metrics.counter("aurora_ingest", "ledgers").inc(len(chunk))
        for table, count in rows.items():
            beam.metrics.Metrics.counter("aurora_ingest", f"rows_{table}").inc(count)
        metrics.publish(metrics.ChunkFinished(chunk.first, chunk.last, rows))
        yield ChunkReceipt(chunk.first, chunk.last, rows)


class ExtractChunkReceipts(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Written slices → one ChunkReceipt per chunk; the rows end here.

    Bounded, any order, fully parallel. A retried bundle emits equal receipts again.
    """

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[ChunkReceipt]:
        """Wire the ParDo."""
        return units | beam.ParDo(_ReceiptFn()).with_output_types(ChunkReceipt)


class _PublishFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Writing of the dataset's manifest, once all chunks are there."""

    def __init__(self, dataset: HistoryDataset) -> None:
        self._dataset = dataset

    def process(self, chunks: int) -> Iterator[int]:
        self._dataset.publish_manifest()
        yield chunks


class PublishHistoryManifest(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """ChunkReceipts → the number of chunks, once the manifest of the whole dataset is written.

    Bounded. Shuffles the receipts' number only. The manifest is made from those of the partitions, so writing it again
    changes nothing. Fails when the disk does.
    """

    def __init__(self, dataset: HistoryDataset) -> None:
        """Keep the dataset."""
        super().__init__()
        self._dataset = dataset

    def expand(self, receipts: beam.PCollection[ChunkReceipt]) -> beam.PCollection[int]:
        """Wire the wait and the ParDo."""
        count: Any = beam.combiners.Count.Globally()
        return receipts | "Wait" >> count | "Publish" >> beam.ParDo(_PublishFn(self._dataset)).with_output_types(int)
