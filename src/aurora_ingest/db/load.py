"""Arrow batches into a table: binary COPY for PostgreSQL, prepared inserts for SQLite."""

from __future__ import annotations

import decimal
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from aurora_ingest import _kernel
from aurora_ingest.db.engine import is_postgres
from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.db.history_tables import HISTORY_TABLES
from aurora_ingest.db.order_book_tables import order_book_levels
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import RowRejectedError

COPY_ROWS: Final = 16_384
COPY_BYTES: Final = 4 << 20
"""Most rows, and about the most bytes, of one piece of a COPY stream, so that memory does not follow the batch."""
_TABLES: Final = {
    **STATE_TABLES,
    **HISTORY_TABLES,
    **{table.name: table for table in (ingest_ledger_counts, order_book_levels)},
}
_INT64 = range(-(2**63), 2**63)
_POSTGRES = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's dialects are untyped


def load_batch(connection: sa.Connection, table_name: str, batch: pa.RecordBatch, *, into: str | None = None) -> int:
    """Writes all rows of a batch in the caller's transaction.

    Args:
        connection: in a transaction.
        table_name: a table of state or history, which gives the types.
        batch: columns named as the table's.
        into: the table that is written, if it is another one of the same shape.

    Returns:
        The number of rows.

    Raises:
        RowRejectedError: a value that its column cannot hold.
    """
    if batch.num_rows == 0:
        return 0
    table = _TABLES[table_name]
    target = into or table_name
    try:
        if is_postgres(connection):
            copy_batch(connection, target, batch, postgres_types(table, batch.schema.names))
        else:
            _insert(connection, table, target, batch)
    except (_kernel.RowError, OverflowError) as error:
        raise RowRejectedError(f"table {table_name}: {error}") from error
    return int(batch.num_rows)


def postgres_types(table: sa.Table, names: list[str]) -> list[str]:
    """Returns PostgreSQL's names of the types of columns."""
    return [table.columns[name].type.compile(dialect=_POSTGRES) for name in names]


def copy_batch(connection: sa.Connection, target: str, batch: pa.RecordBatch, types: list[str]) -> None:
    """Writes a batch into a table of PostgreSQL by one binary COPY.

    Args:
        connection: in a transaction.
        target: name of the table.
        batch: columns named as the table's.
        types: PostgreSQL's names of their types.

    Raises:
        RowError: a value that its column cannot hold.
    """
    columns = ", ".join(f'"{name}"' for name in batch.schema.names)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f'COPY "{target}" ({columns}) FROM STDIN (FORMAT binary)') as copy:
        copy.write(_kernel.COPY_HEADER)
        piece = _rows_per_piece(batch)
        for start in range(0, batch.num_rows, piece):
            copy.write(_kernel.copy_rows(batch.slice(start, piece), types))
        copy.write(_kernel.COPY_TRAILER)


def _rows_per_piece(batch: pa.RecordBatch) -> int:
    if batch.num_rows <= COPY_ROWS and batch.get_total_buffer_size() <= COPY_BYTES:
        return int(batch.num_rows)  # asked first, as `nbytes` takes milliseconds even of a few rows
    return max(1, min(COPY_ROWS, COPY_BYTES * int(batch.num_rows) // max(int(batch.nbytes), 1)))


def _insert(connection: sa.Connection, table: sa.Table, target: str, batch: pa.RecordBatch) -> None:
    names = batch.schema.names
    columns = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join("?" * len(names))
    driver: Any = connection.connection.driver_connection
    numeric = {name for name in names if isinstance(table.columns[name].type, sa.Text)}
    statement = f'INSERT INTO "{target}" ({columns}) VALUES ({marks})'  # noqa: S608 - names are ours, values are bound
    driver.executemany(statement, _rows(batch, numeric))


def _rows(batch: pa.RecordBatch, texts: set[str]) -> Iterator[tuple[Any, ...]]:
    """Yields rows as sqlite3 takes them; it has no other way in than Python values."""
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        values = column.to_pylist()
        if pa.types.is_decimal(column.type) and name in texts:
            # Wide sums do not fit SQLite's integers; as plain digits they are exact.
            values = [None if value is None else _digits(value) for value in values]
        elif pa.types.is_uint64(column.type):
            _check_range(name, values)
        elif pa.types.is_list(column.type):
            values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
        elif pa.types.is_struct(column.type):
            values = [None if value is None else _range_text(value) for value in values]
        elif pa.types.is_timestamp(column.type):
            # SQLite has no type for times; its functions and SQLAlchemy read this text.
            values = column.cast(pa.timestamp("s")).cast(pa.string()).to_pylist()
        columns.append(values)
    return zip(*columns, strict=True)


def _digits(value: decimal.Decimal) -> str:
    return f"{value:f}"


def _range_text(bounds: Mapping[str, int | None]) -> str:
    """Returns a range as PostgreSQL prints it."""
    lower, upper = bounds["lower"], bounds["upper"]
    if lower is not None and upper is not None and lower >= upper:
        return "empty"
    return f"{'(' if lower is None else f'[{lower}'},{'' if upper is None else upper})"


def _check_range(name: str, values: list[int | None]) -> None:
    for row, value in enumerate(values):
        if value is not None and value not in _INT64:
            raise OverflowError(f"row {row}, column {name}: {value} is out of the range of a 64-bit integer")
