"""What left the order book, by ledger and for a window of ledgers: what a follower of the tables could not see."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, String, Text

from aurora_ingest.db.engine import is_postgres
from aurora_ingest.db.tables import METADATA

WINDOW: Final = 100
"""Ledgers for which removals are kept: Horizon's window of deleted offers."""
OFFER: Final = "offer"
POOL: Final = "pool"
LEDGER: Final = "ledger"
"""A row of this kind tells that the removals of its ledger are here, if there are any."""
_SOURCES: Final = {"offers": (OFFER, "offer_id"), "liquidity_pools": (POOL, "id")}

order_book_removals: Final = sa.Table(
    "order_book_removals",
    METADATA,
    Column("ledger", BigInteger(), primary_key=True, nullable=False, autoincrement=False),
    Column("kind", String(16), primary_key=True, nullable=False),
    Column("id", Text(), primary_key=True, nullable=False),
)
"""Offers and pools that each of the last ledgers removed; written in the ledger's own transaction."""
_BOOK: Final = order_book_removals.c


def note_sent(connection: sa.Connection, ledger: int, keys: dict[str, tuple[str, str]]) -> None:
    """Notes what a ledger removes, by statements that read only the server's own tables.

    Args:
        connection: in the ledger's transaction, PostgreSQL.
        ledger: the ledger.
        keys: by table, the temporary table with the keys that leave and its column of ledgers.
    """
    parts = [f"SELECT {ledger:d}, '{LEDGER}', ''"]
    for table, (kind, key) in _SOURCES.items():
        if table in keys:
            name, column = keys[table]
            parts.append(f'SELECT {ledger:d}, \'{kind}\', "{key}"::text FROM "{name}" WHERE {column} = {ledger:d}')  # noqa: S608 - names are ours
    connection.exec_driver_sql(
        f"INSERT INTO order_book_removals (ledger, kind, id) {' UNION ALL '.join(parts)} ON CONFLICT DO NOTHING"
    )
    _forget_old(connection, ledger)


def note_rows(connection: sa.Connection, ledger: int, keys: dict[str, pa.RecordBatch]) -> None:
    """Notes what a ledger removes, SQLite.

    Args:
        connection: in the ledger's transaction.
        ledger: the ledger.
        keys: by table, the primary keys that leave.
    """
    rows = [(ledger, LEDGER, "")]
    for table, (kind, key) in _SOURCES.items():
        if table in keys:
            rows += [(ledger, kind, str(each)) for each in keys[table].column(key).to_pylist()]
    driver: Any = connection.connection.driver_connection
    driver.executemany("INSERT OR IGNORE INTO order_book_removals (ledger, kind, id) VALUES (?, ?, ?)", rows)
    _forget_old(connection, ledger)


def forget_all(connection: sa.Connection) -> None:
    """Empties the book, since another state took the place of the one that it belongs to."""
    connection.execute(sa.delete(order_book_removals))


def read_removals(connection: sa.Connection, after: int, to: int) -> tuple[list[int], list[str]] | None:
    """Reads what left in a range of ledgers.

    Args:
        connection: in a reading transaction.
        after: the ledger before the first one.
        to: the last ledger.

    Returns:
        Ids of offers and of pools; None if the book has not all of the ledgers any more.
    """
    query = sa.select(_BOOK.kind, _BOOK.id).where(_BOOK.ledger > after, _BOOK.ledger <= to)
    found: dict[str, list[str]] = {LEDGER: [], OFFER: [], POOL: []}
    for row in connection.execute(query):
        found[row.kind].append(row.id)
    if len(found[LEDGER]) != to - after:
        return None
    return [int(each) for each in found[OFFER]], found[POOL]


def _forget_old(connection: sa.Connection, ledger: int) -> None:
    statement = f"DELETE FROM order_book_removals WHERE ledger <= {ledger - WINDOW:d}"  # noqa: S608 - a number
    if is_postgres(connection):
        connection.exec_driver_sql(statement)
    else:
        driver: Any = connection.connection.driver_connection
        driver.execute(statement)
