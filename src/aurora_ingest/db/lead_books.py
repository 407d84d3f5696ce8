"""The books of leading: who wrote which ledger, and the nodes that follow."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Double, Integer, Text

from aurora_ingest.db.tables import METADATA

ingest_commits: Final = sa.Table(
    "ingest_commits",
    METADATA,
    Column("ledger", BigInteger(), primary_key=True, nullable=False, autoincrement=False),
    Column("node", Text(), nullable=False),
    Column("committed_at", Double(), nullable=False),
)
"""Who wrote each ledger, and when by the database's clock; written in the ledger's own transaction."""

ingest_nodes: Final = sa.Table(
    "ingest_nodes",
    METADATA,
    Column("node", Text(), primary_key=True, nullable=False),
    Column("version", Integer(), nullable=False),
    Column("started_at", Double(), nullable=False),
    Column("seen_at", Double(), nullable=False),
    Column("position", BigInteger(), nullable=True),
    Column("led", BigInteger(), nullable=True),
)
"""The nodes that follow: when each was last heard of, the ledger it has come to, and the last one it wrote."""


def commits_after(connection: sa.Connection, ledger: int, most: int = 1000) -> list[tuple[int, str]]:
    """Returns who wrote the ledgers after one, ascending.

    Args:
        connection: in a transaction.
        ledger: the one before the first.
        most: how many to return; the last ones if there are more.
    """
    books = ingest_commits.c
    query = sa.select(books.ledger, books.node).where(books.ledger > ledger).order_by(books.ledger.desc()).limit(most)
    return [(row.ledger, row.node) for row in reversed(connection.execute(query).all())]
