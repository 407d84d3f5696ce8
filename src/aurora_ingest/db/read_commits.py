"""When the last ledgers were committed, and by whom, for the service's page."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from aurora_ingest.db.lead_books import ingest_commits


@dataclass(frozen=True)
class Commit:
    """A ledger that was followed.

    Attributes:
        ledger: its sequence.
        node: who wrote it.
        committed_at: seconds since 1970 by the database's clock.
    """

    ledger: int
    node: str
    committed_at: float


def read_commits(connection: sa.Connection, after: int, limit: int) -> tuple[Commit, ...]:
    """Returns the newest commits, ascending.

    Args:
        connection: in a reading transaction.
        after: only ledgers behind this one.
        limit: most commits.
    """
    columns = ingest_commits.c
    query = sa.select(columns.ledger, columns.node, columns.committed_at).where(columns.ledger > after)
    rows = connection.execute(query.order_by(columns.ledger.desc()).limit(limit)).all()
    return tuple(Commit(int(row.ledger), row.node, float(row.committed_at)) for row in reversed(rows))
