"""Records that could not be stored: finding them in a batch, keeping them, and giving them back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aurora_ingest import _kernel
from aurora_ingest.db.history_books import ingest_quarantine
from aurora_ingest.db.load import load_batch
from aurora_ingest.errors import RowRejectedError
from aurora_ingest.ledger.ledger_range import LedgerRange

LEDGER: Final = "ledger"
TRANSACTION: Final = "transaction"
ROW: Final = "row"
_CLASSES_OF_ROWS: Final = ("22", "23", "54", "P0")
"""SQLSTATE classes that a row causes: data, integrity, a limit such as an index entry's size, a trigger's own error."""


@dataclass(frozen=True)
class RefusedRow:
    """A row that the database refused: its number in the batch, and why."""

    row: int
    reason: str


@dataclass(frozen=True)
class Quarantined:
    """One record in quarantine.

    Attributes:
        ledger: ledger it belongs to.
        table: table it was meant for.
        kind: ``ledger``, ``transaction`` or ``row``.
        position: number of the row among the table's rows of its ledger, from 0; place of a transaction in apply
            order, from 1; 0 for a ledger.
        raw: the LedgerCloseMeta, or an Arrow IPC stream with the one row. Of several transactions of one ledger the
            first one has it, the others nothing.
        has_meta: False if the ledger came from a source without transaction metas.
        reason: why it was refused.
    """

    ledger: int
    table: str
    kind: str
    position: int
    raw: bytes
    has_meta: bool
    reason: str


def load_all(connection: sa.Connection, table: str, batch: pa.RecordBatch) -> None:
    """Writes all rows of a batch, or none.

    Raises:
        RowRejectedError: the database refused a row; the transaction is lost.
    """
    try:
        load_batch(connection, table, batch)
    except (psycopg.Error, sqlite3.Error) as error:
        if not is_of_a_row(error):
            raise
        raise RowRejectedError(f"table {table}: {first_line(error)}") from error


def load_good(connection: sa.Connection, table: str, batch: pa.RecordBatch) -> list[RefusedRow]:
    """Writes the rows of a batch that the database takes, and finds the others by halving the batch under savepoints.

    Args:
        connection: in a transaction that writes.
        table: the table.
        batch: its rows.

    Returns:
        The refused rows in their order; all others are written.
    """

    def load(first: int, end: int) -> str | None:
        savepoint = connection.begin_nested()
        try:
            load_batch(connection, table, batch.slice(first, end - first))
        except (RowRejectedError, psycopg.Error, sqlite3.Error) as error:
            savepoint.rollback()
            if not is_of_a_row(error):
                raise
            return first_line(error)
        savepoint.commit()
        return None

    return refused_rows(batch.num_rows, load)


def refused_rows(count: int, attempt: Callable[[int, int], str | None]) -> list[RefusedRow]:
    """Finds refused rows by halving.

    Args:
        count: number of rows.
        attempt: writes the rows from the first number up to before the second; returns why they were refused, and
            has written none of them then, or None.

    Returns:
        The refused rows in their order.
    """
    refused: list[RefusedRow] = []
    waiting = [(0, count)]
    while waiting:
        first, end = waiting.pop()
        reason = attempt(first, end) if first < end else None
        if reason is None:
            continue
        if end - first == 1:
            refused.append(RefusedRow(first, reason))
            continue
        middle = (first + end) // 2
        waiting += [(middle, end), (first, middle)]
    return refused


def records_of(ledger: int, table: str, rows: pa.RecordBatch, refused: Sequence[RefusedRow]) -> list[Quarantined]:
    """Returns refused rows of one ledger as records.

    Args:
        ledger: the ledger.
        table: the table.
        rows: all rows of the table that are of this ledger, in their order.
        refused: those that were refused.
    """
    return [
        Quarantined(ledger, table, ROW, each.row, row_bytes(rows, each.row), has_meta=True, reason=each.reason)
        for each in refused
    ]


def row_bytes(batch: pa.RecordBatch, row: int) -> bytes:
    """Returns one row as an Arrow IPC stream, see `row_of`."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch.slice(row, 1))
    return bytes(sink.getvalue().to_pybytes())


def forget(connection: sa.Connection, ledgers: LedgerRange, tables: Iterable[str]) -> None:
    """Removes what is in quarantine of these ledgers and tables."""
    held = ingest_quarantine
    inside = held.c.ledger_sequence.between(ledgers.first, ledgers.last) & held.c.table_name.in_(list(tables))
    connection.execute(sa.delete(held).where(inside))


def put(connection: sa.Connection, records: Iterable[Quarantined]) -> int:
    """Puts records into quarantine and returns how many."""
    rows = [
        {
            "ledger_sequence": record.ledger,
            "table_name": record.table,
            "kind": record.kind,
            "position": record.position,
            "raw": record.raw,
            "has_meta": record.has_meta,
            "reason": record.reason,
        }
        for record in records
    ]
    if rows:
        connection.execute(sa.insert(ingest_quarantine), rows)
    return len(rows)


def take_out(connection: sa.Connection, records: Iterable[Quarantined]) -> None:
    """Removes records from quarantine."""
    columns = ingest_quarantine.c
    for record in records:
        this = (
            (columns.ledger_sequence == record.ledger)
            & (columns.table_name == record.table)
            & (columns.kind == record.kind)
            & (columns.position == record.position)
        )
        connection.execute(sa.delete(ingest_quarantine).where(this))


def row_of(record: Quarantined) -> pa.RecordBatch:
    """Returns the one row of a record of kind ``row``."""
    with pa.ipc.open_stream(pa.py_buffer(record.raw)) as reader:
        return reader.read_next_batch()


def places(connection: sa.Connection, ledgers: LedgerRange, *kinds: str) -> dict[int, tuple[str, ...]]:
    """Returns which tables have something in quarantine, by ledger, ascending; what it is stays in the database.

    Args:
        connection: in a transaction.
        ledgers: only these.
        kinds: LEDGER, TRANSACTION or ROW.
    """
    columns = ingest_quarantine.c
    query = (
        sa.select(columns.ledger_sequence, columns.table_name)
        .where(columns.ledger_sequence.between(ledgers.first, ledgers.last), columns.kind.in_(kinds))
        .distinct()
        .order_by(columns.ledger_sequence, columns.table_name)
    )
    found: dict[int, tuple[str, ...]] = {}
    for ledger, table in connection.execute(query):
        found[ledger] = (*found.get(ledger, ()), table)
    return found


def held(connection: sa.Connection, ledgers: LedgerRange | None = None) -> Iterator[Quarantined]:
    """Yields what is in quarantine, in the order of ledgers, kinds, tables and positions.

    Args:
        connection: in a transaction.
        ledgers: only these, or None for all.
    """
    columns = ingest_quarantine.c
    query = sa.select(ingest_quarantine).order_by(
        columns.ledger_sequence, columns.kind, columns.table_name, columns.position
    )
    if ledgers is not None:
        query = query.where(columns.ledger_sequence.between(ledgers.first, ledgers.last))
    for row in connection.execute(query):
        yield Quarantined(
            row.ledger_sequence, row.table_name, row.kind, row.position, bytes(row.raw), row.has_meta, row.reason
        )


def is_of_a_row(error: Exception) -> bool:
    """Tells an error that one row causes from one of the database itself, such as a full disk."""
    if isinstance(error, DBAPIError):
        return isinstance(error.orig, Exception) and is_of_a_row(error.orig)
    if isinstance(error, psycopg.Error):
        return (error.sqlstate or "").startswith(_CLASSES_OF_ROWS)
    if isinstance(error, sqlite3.Error):
        return isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError))
    return isinstance(error.__cause__, (_kernel.RowError, OverflowError))


def first_line(error: Exception) -> str:
    """Returns what an error says in one line."""
    told = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return next(iter(str(told).strip().splitlines()), type(error).__name__)
