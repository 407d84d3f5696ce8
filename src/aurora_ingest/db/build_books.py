"""The books of state builds: builds, signs of life, the server's processes that write them, and receipts."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Double, Integer, String, Text

from aurora_ingest.db.tables import METADATA

ingest_builds = sa.Table(
    "ingest_builds",
    METADATA,
    Column("build_id", String(64), primary_key=True, nullable=False),
    Column("checkpoint", BigInteger(), nullable=False),
    Column("ledger_hash", String(64), nullable=False),
    Column("network_passphrase", Text(), nullable=False),
    Column("tables", Text(), nullable=False),
    Column("version", Integer(), nullable=False),
    Column("epoch", Integer(), nullable=False),
    Column("status", String(16), nullable=False),
    Column("started_at", Double(), nullable=False),
    Column("finished_at", Double(), nullable=True),
)
ingest_build_heartbeats = sa.Table(
    "ingest_build_heartbeats",
    METADATA,
    Column("build_id", String(64), primary_key=True, nullable=False),
    Column("epoch", Integer(), nullable=False),
    Column("node", Text(), nullable=False),
    Column("beat_at", Double(), nullable=False),
)
ingest_build_backends = sa.Table(
    "ingest_build_backends",
    METADATA,
    Column("build_id", String(64), nullable=False),
    Column("pid", Integer(), nullable=False),
    Column("started", Double(), nullable=False),
    Column("node", Text(), nullable=False),
    sa.PrimaryKeyConstraint("build_id", "pid", "started"),
)
ingest_build_receipts = sa.Table(
    "ingest_build_receipts",
    METADATA,
    Column("build_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("unit", Integer(), nullable=False),
    Column("epoch", Integer(), nullable=False),
    Column("payload", Text(), nullable=False),
    sa.PrimaryKeyConstraint("build_id", "kind", "unit"),
)
