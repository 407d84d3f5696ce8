"""Small states for the tests of the database room: a few rows in a few tables, told apart by their ledger."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest.db import builds, cursor, schema
from aurora_ingest.db.engine import connect
from aurora_ingest.db.publish import prepare_publish, publish
from aurora_ingest.db.tables import STATE_TABLES

PASSPHRASE = "Test Network"
TABLES = ("accounts_signers", "ttl")
UNITS = 3


def plan(checkpoint: int, tables: tuple[str, ...] = TABLES) -> builds.BuildPlan:
    return builds.BuildPlan(
        hashlib.sha256(str(checkpoint).encode()).hexdigest()[:32], checkpoint, "ab" * 32, PASSPHRASE, tables
    )


def rows(checkpoint: int, unit: int) -> dict[str, pa.RecordBatch]:
    signers = pa.record_batch(
        {
            "account_id": [f"G{checkpoint}-{unit}-{row}" for row in range(unit + 2)],
            "signer": ["G"] * (unit + 2),
            "weight": pa.array([checkpoint] * (unit + 2), pa.int64()),
            "sponsor": pa.array([None] * (unit + 2), pa.string()),
        }
    )
    lives = pa.record_batch(
        {
            "key_hash": pa.array([bytes([unit]) * 32], pa.binary(32)),
            "live_until_ledger": pa.array([checkpoint], pa.int64()),
            "last_modified_ledger": pa.array([checkpoint], pa.int64()),
        }
    )
    return {"accounts_signers": signers, "ttl": lives}


def payload(checkpoint: int, unit: int) -> dict[str, object]:
    counts = {table: batch.num_rows for table, batch in rows(checkpoint, unit).items()}
    return {"kind": "range", "index": unit, "rows": counts}


def write(engine: sa.Engine, build: builds.Build, checkpoint: int, unit: int) -> dict[str, object]:
    batches = rows(checkpoint, unit)
    return builds.write_unit(engine, build, "range", unit, payload(checkpoint, unit), batches)


def build_and_publish(engine: sa.Engine, checkpoint: int) -> builds.Build:
    build = builds.open_build(engine, plan(checkpoint), resume=False)
    for unit in range(UNITS):
        write(engine, build, checkpoint, unit)
    prepare_publish(engine, build)
    publish(engine, build, checkpoint, cursor.CURRENT_VERSION)
    return build


def migrated(url: str) -> sa.Engine:
    engine = connect(url)
    schema.migrate(engine)
    return engine


def visible(engine: sa.Engine) -> tuple[int | None, set[int], int, int]:
    """The cursor, the ledgers that rows name, and how many rows there are; read in one moment."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("LOCK TABLE accounts_signers, ttl IN ACCESS SHARE MODE")
        signers = connection.execute(sa.select(STATE_TABLES["accounts_signers"].c.weight)).scalars().all()
        lives = connection.execute(sa.select(STATE_TABLES["ttl"].c.live_until_ledger)).scalars().all()
        return cursor.read_last_ledger(connection), {*signers, *lives}, len(signers), len(lives)


def whole(checkpoint: int) -> tuple[int, set[int], int, int]:
    return checkpoint, {checkpoint}, sum(unit + 2 for unit in range(UNITS)), UNITS


def table_names(engine: sa.Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())
