"""Gaps: ledgers up to the cursor of which a history table that is kept has nothing."""

from __future__ import annotations

from collections.abc import Iterator

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
    inside = counts.ledger_sequence.between(first, last)
    within = sa.case((inside, counts.ledger_sequence))
    ends = sa.select(counts.table_name, sa.func.count(within), sa.func.min(within), sa.func.max(within))
    gaps: dict[str, list[LedgerRange]] = {}
    reached, holed = {}, []
    for table, count, low, high in connection.execute(ends.group_by(counts.table_name).order_by(counts.table_name)):
        gaps[table] = []
        if count:
            reached[table] = (int(low), int(high))
        if count and int(count) <= int(high) - int(low):
            holed.append(table)
    for table, gap in _between(connection, inside, holed):
        gaps[table].append(gap)
    for table, found in gaps.items():
        low, high = reached.get(table, (last + 1, last))
        found += [LedgerRange(*span) for span in ((first, low - 1), (high + 1, last)) if span[0] <= span[1]]
    return {table: tuple(sorted(found, key=lambda each: each.first)) for table, found in gaps.items() if found}


def _between(
    connection: sa.Connection, inside: sa.ColumnElement[bool], tables: list[str]
) -> Iterator[tuple[str, LedgerRange]]:
    """Yields what tables lack between their ends; sorting millions of counts takes its time, so only those that do."""
    if not tables:
        return
    counts = ingest_ledger_counts.c
    following = sa.func.lead(counts.ledger_sequence).over(
        partition_by=counts.table_name, order_by=counts.ledger_sequence
    )
    steps = (
        sa.select(counts.table_name, counts.ledger_sequence, following.label("following"))
        .where(inside & counts.table_name.in_(tables))
        .subquery()
    )
    jumps = sa.select(steps).where(steps.c.following > steps.c.ledger_sequence + 1)
    for table, sequence, after in connection.execute(jumps):
        yield table, LedgerRange(int(sequence) + 1, int(after) - 1)
