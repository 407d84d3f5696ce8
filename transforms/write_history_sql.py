"""History into a database: the slices of a chunk go into one transaction, which replaces the chunk's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import apache_beam as beam
import sqlalchemy as sa

from aurora_ingest.db.engine import connect
from aurora_ingest.db.history import ChunkTransaction, HistoryTarget
from aurora_ingest.transforms.chunk_slices import ChunkOrder, closed_at_the_end, named
from aurora_ingest.transforms.history_dataset import QUARANTINE
from aurora_ingest.transforms.ledger_counts import ledger_counts, quarantined_records, quarantined_rows
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from aurora_ingest.transforms.processors import TableSpec


def write_slice(transaction: ChunkTransaction, unit: LedgerUnit, specs: Sequence[TableSpec]) -> None:
    """Write the rows of one slice with their counts; what the database refuses goes into quarantine if it may.

    Args:
        transaction: the chunk's.
        unit: a slice with its tables filled.
        specs: the tables.

    Raises:
        RowRejectedError: the database refuses a row and the target does not keep going.
        StateError: rows got lost on their way.
    """
    for spec in specs:
        batch = unit.tables[spec.name]
        refused = quarantined_rows(spec.name, batch, transaction.write(spec.name, batch))
        per_ledger = Counter(record.ledger for record in refused)
        transaction.write_counts(ledger_counts(unit, spec, per_ledger))
        transaction.put_into_quarantine([*quarantined_records(unit, spec.name), *refused])


class _WriteChunkFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Writing of one chunk after the other; the transaction stays open from a chunk's first slice to its last."""

    def __init__(self, db_url: str, target: HistoryTarget, specs: Sequence[TableSpec], run: str) -> None:
        self._db_url = db_url
        self._target = target
        self._specs = tuple(specs)
        self._run = run
        self._order = ChunkOrder()
        self._engine: sa.Engine | None = None
        self._transaction: ChunkTransaction | None = None

    def process(self, unit: LedgerUnit) -> Iterator[LedgerUnit]:
        chunk = self._order.take(unit)
        with named(chunk):
            if self._engine is None:
                self._engine = connect(self._db_url)
                closed_at_the_end(self, self._run)
            if self._transaction is None:
                self._transaction = ChunkTransaction(self._engine, chunk, self._target)
            try:
                write_slice(self._transaction, unit, self._specs)
                if unit.last:
                    done = self._transaction.commit()
                    self._transaction = None
                    unit = unit.with_receipt(rows={**done.rows, QUARANTINE: done.quarantined})
            except BaseException:
                self._close()
                raise
        yield unit.emptied()

    def finish_bundle(self) -> None:
        self._close()
        self._order.end()

    def teardown(self) -> None:
        self._close()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _close(self) -> None:
        if self._transaction is not None:
            self._transaction.close()
            self._transaction = None


class WriteToHistorySql(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Slices of chunks → the same slices without their rows; the last one has the chunk's rows in its receipt.

    Bounded; the slices of a chunk have to come one after the other from 0 in one bundle, as ReadLedgers gives them;
    chunks in any order, in parallel. One chunk is one transaction: locks on its ledgers, delete and insert of every
    table, counts, quarantine and receipt, so a chunk written twice is there once. Fails on slices out of order, on
    rows that got lost or that the database refuses, beyond the cursor while a follower runs, and when the database
    does; then the chunk is as it was.
    """

    def __init__(self, db_url: str, target: HistoryTarget, specs: Sequence[TableSpec], run: str) -> None:
        """Keep the database's URL, the target, the tables and the name of the run."""
        super().__init__()
        self._db_url = db_url
        self._target = target
        self._specs = tuple(specs)
        self._run = run

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[LedgerUnit]:
        """Wire the ParDo."""
        write = _WriteChunkFn(self._db_url, self._target, self._specs, self._run)
        return units | beam.ParDo(write).with_output_types(LedgerUnit)
