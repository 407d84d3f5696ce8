"""Retention: old history leaves, batch by batch, beside nodes that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from aurora_ingest.db import chunk_locks, cursor, schema
from aurora_ingest.db.engine import writing
from aurora_ingest.db.history import LEDGER_KEYS, delete_ledgers, trim_receipts
from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.db.lead_books import ingest_commits
from aurora_ingest.db.tables import METADATA
from aurora_ingest.errors import DatabaseError
from aurora_ingest.ledger.ledger_range import LedgerRange

BATCH_LEDGERS: Final = 1024
"""Ledgers that leave in one transaction: few enough for its locks, and for readers not to notice."""


@dataclass(frozen=True)
class Reaped:
    """What a reaping took away.

    Attributes:
        ledgers: the range whose history left, None if there was none.
        kept_from: the first ledger whose history is kept.
    """

    ledgers: LedgerRange | None
    kept_from: int


def reap(
    engine: sa.Engine,
    keep_ledgers: int,
    batch_ledgers: int = BATCH_LEDGERS,
    told: Callable[[LedgerRange], None] = lambda _: None,
) -> Reaped:
    """Deletes the history of all ledgers but the newest, oldest first; may be stopped and run again at any time.

    Args:
        engine: the database.
        keep_ledgers: how many ledgers up to the cursor keep their history, at least 1.
        batch_ledgers: ledgers per transaction.
        told: hears of each batch that has left.

    Raises:
        MigrationError: the schema is not ours.
        DatabaseError: there is no cursor to count from.
    """
    schema.require(engine)
    with engine.connect() as connection:
        last = cursor.read_last_ledger(connection)
        if last is None:
            raise DatabaseError("the database has no cursor to count ledgers from; it holds no state yet")
        kept_from = max(last - keep_ledgers + 1, 1)
        oldest = oldest_ledger(connection)
    if oldest is None or oldest >= kept_from:
        return Reaped(None, kept_from)
    ledgers = LedgerRange(oldest, kept_from - 1)
    for batch in ledgers.chunks(batch_ledgers):
        with writing(engine) as connection:
            chunk_locks.lock_ledgers(connection, batch)
            delete_ledgers(connection, LEDGER_KEYS, batch)
            trim_receipts(connection, batch, LEDGER_KEYS)
            connection.execute(sa.delete(ingest_commits).where(ingest_commits.c.ledger <= batch.last))
        told(batch)
    return Reaped(ledgers, kept_from)


def oldest_ledger(connection: sa.Connection) -> int | None:
    """Returns the oldest ledger that has history or books of it, None if there is none."""
    found = [connection.execute(sa.select(sa.func.min(ingest_ledger_counts.c.ledger_sequence))).scalar_one()]
    for table, (column, bits) in LEDGER_KEYS.items():
        least = connection.execute(sa.select(sa.func.min(METADATA.tables[table].c[column]))).scalar_one()
        found.append(None if least is None else int(least) >> bits)
    known = [int(ledger) for ledger in found if ledger is not None]
    return min(known, default=None)
