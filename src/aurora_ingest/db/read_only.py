"""A session of several reads that all see one moment and are never caught between two states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from aurora_ingest.db.engine import is_postgres
from aurora_ingest.db.tables import STATE_TABLES


@contextmanager
def read_only_session(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that only reads; every statement sees the database as it was at the first one.

    The state tables are locked against being swapped from the very beginning: a publish that came after the snapshot
    but before the first look at a table would otherwise show a table that is newer than the snapshot, and empty.
    """
    with engine.connect() as plain:
        if is_postgres(plain):
            connection = plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            names = ", ".join(f'"{table}"' for table in STATE_TABLES)
            connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS SHARE MODE")
        else:
            connection = plain
        yield connection
        connection.rollback()
