"""Levels of order books in the database: written once per ledger by whichever node comes first, with their counts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from aurora_ingest.db import chunk_locks
from aurora_ingest.db.engine import is_postgres, writing
from aurora_ingest.db.history import delete_ledgers, trim_receipts
from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.db.load import load_batch
from aurora_ingest.db.order_book_tables import order_book_levels
from aurora_ingest.ledger.ledger_range import LedgerRange

NAME: Final = "order_book_levels"
MOST_BACK: Final = 64
"""Ledgers by which a node goes back to tell the order books of ledgers that it, or another one, only committed."""
_STAGE: Final = f"live_{NAME}"
_SILENCE_SECONDS: Final = 5


def place_to_go_on(connection: sa.Connection, position: int) -> int:
    """Returns the ledger after which to go on so that no order book is left out: a few ledgers back, if need be.

    Ledgers before the first one that is written within reach are left to `fill-gaps`.

    Args:
        connection: in a transaction.
        position: the ledger after which a node would go on by the cursor.
    """
    counts = ingest_ledger_counts.c
    recent = counts.ledger_sequence.between(position - MOST_BACK, position)
    query = sa.select(counts.ledger_sequence).where((counts.table_name == NAME) & recent)
    written = set(connection.execute(query).scalars())
    if not written:
        return position
    return next((ledger - 1 for ledger in range(min(written), position + 1) if ledger not in written), position)


def write_ledgers(engine: sa.Engine, ledgers: LedgerRange, pairs: Collection[int], rows: pa.RecordBatch) -> int:
    """Writes the levels of ledgers, and notes for each of them that it is complete.

    Ledgers that are noted already are left as they are: all nodes write the same. What the client has to send is sent
    before the ledgers are locked, and a node that stops while it holds them loses its session after a few seconds, so
    that nobody waits for it.

    Args:
        engine: the database.
        ledgers: consecutive ledgers.
        pairs: how many pairs each of them changed, in their order.
        rows: the levels in all of them, as the table has them; sorted by ledger.

    Returns:
        How many ledgers this call wrote.

    Raises:
        RowRejectedError: a value that its column cannot hold.
    """
    with writing(engine) as connection:
        if is_postgres(connection):
            _send(connection, rows)
        chunk_locks.lock_ledgers(connection, ledgers)
        counts = ingest_ledger_counts.c
        inside = (counts.table_name == NAME) & counts.ledger_sequence.between(ledgers.first, ledgers.last)
        written = set(connection.execute(sa.select(counts.ledger_sequence).where(inside)).scalars())
        left = {ledger: count for ledger, count in zip(ledgers, pairs, strict=True) if ledger not in written}
        if not left:
            return 0
        for ledger in left:
            here = LedgerRange(ledger, ledger)
            delete_ledgers(connection, [NAME], here)
            trim_receipts(connection, here, [NAME])
        if is_postgres(connection):
            columns = [column.name for column in order_book_levels.columns]
            sent = sa.table(_STAGE, *map(sa.column, columns))
            wanted = sa.select(sent).where(sent.c.ledger_sequence.in_(left))
            connection.execute(sa.insert(order_book_levels).from_select(columns, wanted))
        else:
            sequences = pa.array(left, pa.int32())
            load_batch(connection, NAME, rows.filter(pc.is_in(rows.column("ledger_sequence"), sequences)))
        notes = [
            {"ledger_sequence": ledger, "table_name": NAME, "rows_in": count, "rows_out": count, "quarantined": 0}
            for ledger, count in left.items()
        ]
        connection.execute(sa.insert(ingest_ledger_counts), notes)
    return len(left)


def _send(connection: sa.Connection, rows: pa.RecordBatch) -> None:
    """Sends the rows into a temporary table, and limits how long this session may be silent from then on."""
    connection.exec_driver_sql(f'CREATE TEMPORARY TABLE IF NOT EXISTS "{_STAGE}" (LIKE "{NAME}") ON COMMIT DELETE ROWS')
    load_batch(connection, NAME, rows, into=_STAGE)
    connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{_SILENCE_SECONDS}s'")
