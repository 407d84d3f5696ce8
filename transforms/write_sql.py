"""Writing units into the staging tables of a database build, each in one transaction with its receipt."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import sqlalchemy as sa

from aurora_ingest.db import builds
from aurora_ingest.db.engine import connect
from aurora_ingest.transforms.ledger_unit import LedgerUnit, Receipt


def write_unit(engine: sa.Engine, build: builds.Build, unit: LedgerUnit) -> LedgerUnit:
    """Write one unit's tables and its receipt in one transaction, unless that was done before.

    Args:
        engine: the target database.
        build: the opened build with its epoch.
        unit: the unit with its tables filled.

    Returns:
        The unit with the receipt that the database holds, which is the older one if the unit was there already.

    Raises:
        FencedError: another node has taken the build over.
        RowRejectedError: a value does not fit its column.
    """
    rows = {table: batch.num_rows for table, batch in unit.row_tables.items()}
    receipt = unit.with_receipt(rows=rows).receipt
    stored = builds.write_unit(engine, build, unit.kind, unit.index, receipt.to_json(), unit.row_tables)
    return unit.with_receipt(**vars(Receipt.from_json(stored)))


class _WriteUnitFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Writing of one unit; a side thread tells the other nodes that this one is alive."""

    def __init__(self, db_url: str, build: builds.Build) -> None:
        self._db_url = db_url
        self._build = build
        self._engine: sa.Engine | None = None
        self._heartbeat: builds.Heartbeat | None = None

    def process(self, unit: LedgerUnit) -> Iterator[LedgerUnit]:
        if unit.done:
            yield unit
            return
        if self._engine is None:
            self._engine = connect(self._db_url)
            self._heartbeat = builds.Heartbeat(self._engine, self._build)
            self._heartbeat.__enter__()
        yield write_unit(self._engine, self._build, unit)

    def teardown(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.__exit__(None, None, None)
        if self._engine is not None:
            self._engine.dispose()


class WriteToSql(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """LedgerUnits → the same LedgerUnits, their rows in the build's staging tables.

    Bounded, any order, parallel. One unit is one transaction that checks the build's epoch and inserts the
    receipt first: a unit that was written before, by a retried bundle or a former run, writes nothing and gets the
    stored receipt. Fails when the database does, when another node took over, or on a value out of range.
    """

    def __init__(self, db_url: str, build: builds.Build) -> None:
        """Keep the database's URL and the opened build."""
        super().__init__()
        self._db_url = db_url
        self._build = build

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[LedgerUnit]:
        """Wire the ParDo."""
        return units | beam.ParDo(_WriteUnitFn(self._db_url, self._build)).with_output_types(LedgerUnit)
