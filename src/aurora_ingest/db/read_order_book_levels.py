"""The history of one pair's order book for the service, and from where to where any is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.db.order_book_tables import order_book_levels
from aurora_ingest.ledger.ledger_range import LedgerRange


def read_kept_levels(connection: sa.Connection, newest: int) -> LedgerRange | None:
    """Returns the first and the last ledger whose order books are kept, None if none are.

    Args:
        connection: in a reading transaction.
        newest: ledger that the database stands at.
    """
    counts = ingest_ledger_counts.c
    ours = (counts.table_name == order_book_levels.name) & (counts.ledger_sequence <= newest)
    first, last = connection.execute(
        sa.select(sa.func.min(counts.ledger_sequence), sa.func.max(counts.ledger_sequence)).where(ours)
    ).one()
    return None if first is None else LedgerRange(int(first), int(last))


def read_levels(
    connection: sa.Connection, base: str, counter: str, ledgers: LedgerRange, limit: int
) -> Sequence[sa.Row[Any]]:
    """Returns the newest books of a pair, ascending by ledger; ledgers that left the pair alone have none.

    Args:
        connection: in a reading transaction.
        base: asset as the table names it, the one that comes first in stellar-core's order.
        counter: the other one.
        ledgers: where to look.
        limit: most rows.
    """
    columns = order_book_levels.c
    query: sa.Select[Any] = sa.select(
        columns.ledger_sequence,
        columns.closed_at,
        columns.bids,
        columns.asks,
        columns.pool_reserve_base,
        columns.pool_reserve_counter,
    ).where(
        columns.base_asset == base,
        columns.counter_asset == counter,
        columns.ledger_sequence.between(ledgers.first, ledgers.last),
    )
    return connection.execute(query.order_by(columns.ledger_sequence.desc()).limit(limit)).all()[::-1]
