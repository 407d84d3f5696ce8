"""History into Parquet: the slices of a chunk become one file per table, which replace the partition's together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apache_beam as beam

from aurora_ingest.transforms.chunk_slices import ChunkOrder, closed_at_the_end, named
from aurora_ingest.transforms.history_dataset import HistoryDataset
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from aurora_ingest.transforms.partition_draft import PartitionDraft
from aurora_ingest.transforms.processors import TableSpec


class _WriteChunkFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Writing of one chunk after the other; the draft of a chunk stays open from its first slice to its last."""

    def __init__(self, dataset: HistoryDataset, specs: Sequence[TableSpec], run: str) -> None:
        self._dataset = dataset
        self._specs = tuple(specs)
        self._run = run
        self._order = ChunkOrder()
        self._draft: PartitionDraft | None = None

    def process(self, unit: LedgerUnit) -> Iterator[LedgerUnit]:
        chunk = self._order.take(unit)
        with named(chunk):
            if self._draft is None:
                self._draft = PartitionDraft(self._dataset, chunk, self._specs)
                closed_at_the_end(self, self._run)
            try:
                self._draft.write(unit)
                if unit.last:
                    rows = self._draft.publish()
                    self._draft = None
                    unit = unit.with_receipt(rows=rows)
            except BaseException:
                self._close()
                raise
        yield unit

    def finish_bundle(self) -> None:
        self._close()
        self._order.end()

    def teardown(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._draft is not None:
            self._draft.close()
            self._draft = None


class WriteToHistoryParquet(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Slices of chunks → the same slices, written; the last one of a chunk has the chunk's rows in its receipt.

    Bounded; the slices of a chunk have to come one after the other from 0 in one bundle, as ReadLedgers gives them;
    chunks in any order, in parallel. A partition's files change together when its last slice is there, and a chunk
    that is written again gives the same bytes. Two writers of one partition wait for each other. Fails on slices out
    of order, on rows that got lost, and when the disk does; then the partition is as it was.
    """

    def __init__(self, dataset: HistoryDataset, specs: Sequence[TableSpec], run: str) -> None:
        """Keep the dataset, the tables and the name of the run."""
        super().__init__()
        self._dataset = dataset
        self._specs = tuple(specs)
        self._run = run

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[LedgerUnit]:
        """Wire the ParDo."""
        return units | beam.ParDo(_WriteChunkFn(self._dataset, self._specs, self._run)).with_output_types(LedgerUnit)
