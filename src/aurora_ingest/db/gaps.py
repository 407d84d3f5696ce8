"""Gaps: ledgers up to the cursor of which a history table that is kept has nothing."""

from __future__ import annotations

import sqlalchemy as sa

from aurora_ingest.db import cursor
from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.ledger.ledger_range import LedgerRange

Gaps = dict[str, tuple[LedgerRange, ...]]


def read_gaps(connection: sa.Connection, first: int | None = None, last: int | None = None) -> Gaps:
    """Finds the gaps of every history table that has any ledger.

    A ledger that was written has a row in the books for each of its tables, even when it put no row into them.

    Args:
        connection: in a transaction.
        first: ledger to begin with; the oldest that any table has if not given.
        last: ledger to end with; the cursor if not given, or the newest that any table has without one.

    Returns:
        Ascending ranges by table, for the tables that have gaps.
    """
    counts = ingest_ledger_counts.c
    least, greatest = connection.execute(
        sa.select(sa.func.min(counts.ledger_sequence), sa.func.max(counts.ledger_sequence))
    ).one()
    if least is None:
        return {}
    first = int(least) if first is None else first
    last = (cursor.read_last_ledger(connection) or int(greatest)) if last is None else last
    if first > last:
        return {}
    following = sa.func.lead(counts.ledger_sequence).over(
        partition_by=counts.table_name, order_by=counts.ledger_sequence
    )
    inside = counts.ledger_sequence.between(first, last)
    steps = sa.select(counts.table_name, counts.ledger_sequence, following.label("following")).where(inside).subquery()
    jumps = sa.select(steps).where(steps.c.following > steps.c.ledger_sequence + 1)
    ends = (
        sa.select(counts.table_name, sa.func.min(counts.ledger_sequence), sa.func.max(counts.ledger_sequence))
        .where(inside)
        .group_by(counts.table_name)
    )
    known = connection.execute(sa.select(counts.table_name).distinct()).scalars().all()
    gaps: dict[str, list[LedgerRange]] = {table: [] for table in sorted(known)}
    for table, sequence, after in connection.execute(jumps):
        gaps[table].append(LedgerRange(int(sequence) + 1, int(after) - 1))
    reached = {table: (int(low), int(high)) for table, low, high in connection.execute(ends)}
    for table, found in gaps.items():
        if table not in reached:
            found.append(LedgerRange(first, last))
            continue
        low, high = reached[table]
        if low > first:
            found.append(LedgerRange(first, low - 1))
        if high < last:
            found.append(LedgerRange(high + 1, last))
    return {table: tuple(sorted(found, key=lambda each: each.first)) for table, found in gaps.items() if found}
