"""What every processor is: one table, its schema, and a ParDo that adds the table's batch to each unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import apache_beam as beam
import pyarrow as pa

from aurora_ingest.errors import StateError
from aurora_ingest.transforms.ledger_unit import LedgerUnit


@dataclass(frozen=True)
class TableSpec:
    """One table and how a unit fills it.

    Attributes:
        name: SQL and Parquet name; a partial table is named ``partial:<table>``.
        schema: Arrow schema of the rows.
        primary_key: columns that are unique together; empty for a partial table.
        stage: kind of the units whose chain fills the table: ``range``, ``partition`` or ``totals``.
        columns: columns that ``rows`` reads, by the kernel's entry table.
        rows: makes the table's batch of a unit.
    """

    name: str
    schema: pa.Schema
    primary_key: tuple[str, ...]
    stage: str
    columns: Mapping[str, tuple[str, ...]]
    rows: Callable[[LedgerUnit], pa.RecordBatch]


class _ProcessFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """One table's batch for one unit."""

    def __init__(self, spec: TableSpec) -> None:
        self._spec = spec

    def process(self, unit: LedgerUnit) -> Iterator[LedgerUnit]:
        yield unit if unit.done else processed(unit, self._spec)


def processed(unit: LedgerUnit, spec: TableSpec) -> LedgerUnit:
    """Return the unit with the table of ``spec`` filled.

    Raises:
        StateError: the rows cannot be made; names the table and the unit.
    """
    try:
        batch = spec.rows(unit)
    except pa.ArrowException as error:
        message = f"{spec.name}: {unit.kind} {unit.index} at ledger {unit.last_ledger}: {error}"
        raise StateError(message) from error
    return unit.with_table(spec.name, batch)


class ProcessTable(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """LedgerUnits → the same LedgerUnits with one more table, empty or not.

    Bounded or unbounded, any order and windowing, fully parallel, no shuffle: a chain of them fuses. The batch is a
    pure function of the unit, so a retried bundle yields the same. Units that are done pass untouched.
    """

    spec: ClassVar[TableSpec]

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[LedgerUnit]:
        """Wire the ParDo."""
        return units | self.spec.name >> beam.ParDo(_ProcessFn(self.spec)).with_output_types(LedgerUnit)
