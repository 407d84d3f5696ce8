"""The books of history: which chunks are written, the rows of every ledger, what was refused, and who is live."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, LargeBinary, String, Text

from aurora_ingest.db.tables import METADATA

ingest_history_chunks: Final = sa.Table(
    "ingest_history_chunks",
    METADATA,
    Column("first_ledger", BigInteger(), nullable=False),
    Column("last_ledger", BigInteger(), nullable=False),
    Column("tables", Text(), nullable=False),
    Column("source", Text(), nullable=False),
    Column("version", Integer(), nullable=False),
    Column("rows", Text(), nullable=False),
    Column("quarantined", BigInteger(), nullable=False),
    Column("finished_at", Double(), nullable=False),
    sa.PrimaryKeyConstraint("first_ledger", "last_ledger", "tables"),
)
"""One row per written chunk; `tables` are names with commas between, `rows` a JSON object of rows by table."""

ingest_ledger_counts: Final = sa.Table(
    "ingest_ledger_counts",
    METADATA,
    Column("ledger_sequence", BigInteger(), nullable=False),
    Column("table_name", String(64), nullable=False),
    Column("rows_in", BigInteger(), nullable=False),
    Column("rows_out", BigInteger(), nullable=False),
    Column("quarantined", BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("ledger_sequence", "table_name"),
)
"""Rows in = rows out + quarantined, for every ledger and table; what does not decode, a ledger or a transaction, counts
as one row in."""

ingest_quarantine: Final = sa.Table(
    "ingest_quarantine",
    METADATA,
    Column("ledger_sequence", BigInteger(), nullable=False),
    Column("table_name", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("position", BigInteger(), nullable=False),
    Column("raw", LargeBinary(), nullable=False),
    Column("has_meta", Boolean(), nullable=False),
    Column("reason", Text(), nullable=False),
    sa.PrimaryKeyConstraint("ledger_sequence", "table_name", "kind", "position"),
)
"""What was refused. Kind `ledger`: raw is the LedgerCloseMeta; kind `transaction`: the same, with the first one of a
ledger only, and position is its place in apply order; kind `row`: an Arrow IPC stream of the one row."""

ingest_live: Final = sa.Table(
    "ingest_live",
    METADATA,
    Column("node", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("since", Double(), nullable=False),
    sa.PrimaryKeyConstraint("node", "role"),
)
"""Who follows or reingests, in SQLite; PostgreSQL has advisory locks for that, which go with their owner."""
