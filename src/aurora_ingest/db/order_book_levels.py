"""Levels of order books in the database: written once per ledger by whichever node comes first, with their counts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from aurora_ingest.db import chunk_locks
from aurora_ingest.db.engine import writing
from aurora_ingest.db.history import COUNTS_SCHEMA, delete_ledgers, trim_receipts
from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.db.load import load_batch
from aurora_ingest.ledger.ledger_range import LedgerRange

NAME: Final = "order_book_levels"
MOST_BACK: Final = 64
"""Ledgers by which a node goes back to tell the order books of ledgers that it, or another one, only committed."""


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

    Ledgers that are noted already are left as they are: all nodes write the same.

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
        chunk_locks.lock_ledgers(connection, ledgers)
        counts = ingest_ledger_counts.c
        inside = (counts.table_name == NAME) & counts.ledger_sequence.between(ledgers.first, ledgers.last)
        written = set(connection.execute(sa.select(counts.ledger_sequence).where(inside)).scalars())
        left = [each for each in zip(ledgers, pairs, strict=True) if each[0] not in written]
        if not left:
            return 0
        sequences = pa.array([ledger for ledger, _ in left], pa.int32())
        for ledger, _ in left:
            here = LedgerRange(ledger, ledger)
            delete_ledgers(connection, [NAME], here)
            trim_receipts(connection, here, [NAME])
        load_batch(connection, NAME, rows.filter(pc.is_in(rows.column("ledger_sequence"), sequences)))
        load_batch(connection, ingest_ledger_counts.name, _counts(left))
    return len(left)


def _counts(ledgers: list[tuple[int, int]]) -> pa.RecordBatch:
    pairs = pa.array([count for _, count in ledgers], pa.int64())
    sequences = pa.array([ledger for ledger, _ in ledgers], pa.int64())
    nothing = pa.repeat(pa.scalar(0, pa.int64()), len(ledgers))
    return pa.RecordBatch.from_arrays(
        [sequences, pa.repeat(pa.scalar(NAME), len(ledgers)), pairs, pairs, nothing], schema=COUNTS_SCHEMA
    )
