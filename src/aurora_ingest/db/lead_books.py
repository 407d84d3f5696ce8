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
