"""What a processor is: a table, the entry columns it reads, its rows function, and the PTransform around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import apache_beam as beam
import pyarrow as pa

from aurora_ingest.errors import StateError
from aurora_ingest.transforms.ledger_unit import CHUNK, PARTIAL_PREFIX, PARTITION, RANGE, TOTALS, LedgerUnit
from aurora_ingest.transforms.processors.columns import empty

STAGES = (RANGE, PARTITION, TOTALS, CHUNK)


@dataclass(frozen=True)
class TableSpec:
    """A table and how its rows are made.

    Attributes:
        name: name of the SQL and Parquet table; ``partial:<table>`` for rows that are put aside for a later stage.
        schema: exact Arrow schema of the rows.
        primary_key: columns that identify a row; empty for partial rows.
        stage: kind of the units that the rows are made from.
        columns: columns of the kernel's entry tables that ``rows`` reads, by entry table; in stage ``chunk`` those of
            the tables of its LedgerDecoder.
        rows: makes the unit's rows; no side effects.
        needs: partial tables that earlier stages must have put aside.
        row_group_rows: rows of a row group in Parquet; fewer where rows are wide.
    """

    name: str
    schema: pa.Schema
    primary_key: tuple[str, ...]
    stage: str
    columns: Mapping[str, tuple[str, ...]]
    rows: Callable[[LedgerUnit], pa.RecordBatch]
    needs: tuple[str, ...] = ()
    row_group_rows: int = 65_536

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            ValueError: unknown stage, or a primary key that is not in the schema.
        """
        if self.stage not in STAGES:
            message = f"table {self.name}: stage is {self.stage!r}, expected one of {', '.join(STAGES)}"
            raise ValueError(message)
        lost = set(self.primary_key) - set(self.schema.names)
        if lost:
            message = f"table {self.name}: primary key column {min(lost)} is not in the schema"
            raise ValueError(message)

    @property
    def is_partial(self) -> bool:
        """True for rows that no sink writes."""
        return self.name.startswith(PARTIAL_PREFIX)


def processed(unit: LedgerUnit, spec: TableSpec) -> LedgerUnit:
    """Return the unit with the table of ``spec`` filled.

    Raises:
        StateError: the rows cannot be made, or break the table's schema; names table, unit and ledger.
    """
    place = f"table {spec.name}: {unit.kind} {unit.index} at ledger {unit.last_ledger}"
    try:
        batch = spec.rows(unit) if _has_input(unit, spec) else empty(spec.schema)
    except pa.ArrowException as error:
        message = f"{place}: {error}"
        raise StateError(message) from error
    if not batch.schema.equals(spec.schema):
        message = f"{place}: rows have the schema {batch.schema}, expected {spec.schema}"
        raise StateError(message)
    for field, column in zip(spec.schema, batch.columns, strict=True):
        if not field.nullable and column.null_count:
            message = f"{place}: column {field.name} has {column.null_count} nulls, expected none"
            raise StateError(message)
    return unit.with_table(spec.name, batch)


def _has_input(unit: LedgerUnit, spec: TableSpec) -> bool:
    """Tell whether there is anything to make rows from: of a small ledger most tables get none, at a cost each."""
    if spec.stage not in {RANGE, CHUNK}:
        return True
    sides = (unit.pre, unit.post, unit.decoded)
    return any(side[table].num_rows for side in sides for table in spec.columns if table in side)


class _ProcessFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Adds one table to a unit."""

    def __init__(self, spec: TableSpec) -> None:
        self._spec = spec

    def process(self, unit: LedgerUnit) -> Iterator[LedgerUnit]:
        yield unit if unit.done else processed(unit, self._spec)


class ProcessTable(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """LedgerUnits → the same LedgerUnits, each with the rows of one more table, empty or not.

    Bounded or unbounded, any order, no windows needed. Stateless and without side effects: a retried bundle makes
    the same rows. Fully parallel; steps in a row fuse, so no rows are shuffled. Units that a former run has
    finished pass as they are. Fails with StateError if rows break the table's schema.

    Subclasses name their table by the class attribute ``spec``.
    """

    spec: ClassVar[TableSpec]

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[LedgerUnit]:
        """Wire the ParDo."""
        return units | beam.ParDo(_ProcessFn(self.spec)).with_output_types(LedgerUnit)
