"""Keys, indexes and statistics of the staging tables: two connections build them side by side, the largest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aurora_ingest.db import fencing, staging
from aurora_ingest.db.engine import is_postgres
from aurora_ingest.errors import PublishError

CONNECTIONS: Final = 2
"""How many build indexes at once: the server has one sort per connection to do, and a builder few connections."""
SORT_MEMORY_MB: Final = 256
"""Least `maintenance_work_mem` of one index: at the server's usual 64 MB the sort of a million keys goes to disk."""

ALONE_BYTES: Final = 1 << 30
"""Size of a table from which on the server's own choice of helpers for a sort is left alone."""


def prepare(engine: sa.Engine, build: fencing.Build, tables: Iterable[str], expected: Counter[str]) -> bool:
    """Compares rows with `expected`, then makes what is missing of keys, indexes and statistics.

    May be run again: each table's count, each index and each table's end is a transaction of its own.

    Args:
        engine: the target database.
        build: the right to write.
        tables: staging tables that are prepared.
        expected: rows that each of them has to have.

    Returns:
        False if the build turned out to be published already; nothing was done then.

    Raises:
        PublishError: a table has not the expected rows, or two rows have the same key.
        FencedError: another builder took the build over.
    """
    tables = list(tables)
    # SQLite has one writer: a second connection would only wait for the first one.
    with ThreadPoolExecutor(CONNECTIONS if is_postgres(engine) else 1, "indexes") as pool:

        def all_of(jobs: Iterable[Callable[[], int | None]]) -> list[int | None]:
            return [running.result() for running in [pool.submit(job) for job in jobs]]

        sizes = all_of([partial(_check_rows, engine, build, table, expected[table]) for table in tables])
        if None in sizes:
            return False
        by_size = [table for _, table in sorted(zip(sizes, tables, strict=True), key=lambda pair: -(pair[0] or 0))]
        with engine.connect() as connection:
            missing = [
                (table, statement)
                for table in by_size
                for statement in staging.missing_indexes(connection, build.build_id, table)
            ]
        all_of([partial(_make_index, engine, build, table, statement) for table, statement in missing])
        all_of([partial(_complete, engine, build, table) for table in by_size])
    return True


def _check_rows(engine: sa.Engine, build: fencing.Build, table: str, expected: int) -> int | None:
    """Returns the rows of a staging table, None if the build is published."""
    with fencing.writing_build(engine, build) as (connection, status):
        if status == fencing.PUBLISHED:
            return None
        found = staging.count(connection, build.build_id, table)
    if found != expected:
        raise PublishError(
            f"table {table}: expected {expected} rows by the receipts, found {found} in staging; "
            "nothing was published: drop the build with --abandon and build again"
        )
    return found


def _make_index(engine: sa.Engine, build: fencing.Build, table: str, statement: str) -> None:
    try:
        with fencing.writing_build(engine, build) as (connection, _):
            _set_sort(connection, staging.size(connection, build.build_id, table))
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    except IntegrityError as error:
        reason = " ".join(str(error.orig).split())
        raise PublishError(
            f"table {table}: two rows have one key: {reason}; nothing was published: drop a unique index of your own "
            "if it is that one's, else drop the build with --abandon and build again"
        ) from error


def _set_sort(connection: sa.Connection, table_bytes: int) -> None:
    """Gives the transaction memory to sort, and keeps a small table's sort to one process of the server.

    Measured with tables of 100 MB on two cores: helpers of each sort cost a third more CPU and an eighth more time.
    """
    query = sa.text(
        "SELECT set_config(name, greatest(CAST(setting AS bigint), :least) || 'kB', true) FROM pg_settings "
        "WHERE name = 'maintenance_work_mem'"
    )
    connection.execute(query, {"least": SORT_MEMORY_MB * 1024})
    if table_bytes < ALONE_BYTES:
        connection.exec_driver_sql("SET LOCAL max_parallel_maintenance_workers = 0")


def _complete(engine: sa.Engine, build: fencing.Build, table: str) -> None:
    with fencing.writing_build(engine, build) as (connection, _):
        staging.complete(connection, build.build_id, table)
