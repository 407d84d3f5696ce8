"""Making a complete build the visible state: preparation at leisure, then one short transaction."""

from __future__ import annotations

import json
import logging
import random
import time
from collections import Counter
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from aurora_ingest.db import (
    backends,
    cursor,
    dependents,
    fencing,
    guards,
    indexing,
    order_book_removals,
    quarantine,
    staging,
)
from aurora_ingest.db.build_books import ingest_build_receipts, ingest_builds
from aurora_ingest.db.engine import clock, is_postgres
from aurora_ingest.db.lead_books import ingest_commits
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import PublishError
from aurora_ingest.ledger.ledger_range import LedgerRange

LOCK_SECONDS: Final = 2
ATTEMPTS: Final = 60
_LONGEST_PAUSE: Final = 5.0
_LOG = logging.getLogger(__name__)


def prepare_publish(engine: sa.Engine, build: fencing.Build) -> None:
    """Compares rows with receipts, then makes keys, indexes and statistics on the staging tables; may be run again.

    Raises:
        PublishError: a staging table has not the rows that the receipts say, or two of its rows have the same key.
        FencedError: another builder took the build over.
    """
    indexing.prepare(engine, build, _in_order(build), _expected_rows(engine, build))


def publish(engine: sa.Engine, build: fencing.Build, ledger: int, version: int) -> None:
    """Swaps the staging tables in and sets the cursor, in one transaction; does nothing when that was done.

    Readers that hold tables make it wait `LOCK_SECONDS` in all, then it lets everybody pass and tries again.

    Args:
        engine: the target database.
        build: a build whose staging tables are prepared.
        ledger: what the cursor is set to.
        version: version of the rules that made the rows.

    Raises:
        PublishError: the tables were in use at every attempt.
        DatabaseError: what the guards of a build refuse, come up since it began.
        FencedError: another builder took the build over.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with fencing.noted_writer(engine, build) as connection, connection.begin():
                _swap(connection, build, ledger, version)
        except staging.LateIndexError as error:
            _LOG.info("Publishing goes back to indexes", extra={"build": build.build_id[:12], "reason": str(error)})
            prepare_publish(engine, build)
        except (OperationalError, _LockTimeoutError) as error:
            if isinstance(error, OperationalError) and not _is_lock_timeout(error):
                raise
            _LOG.info("Publishing waits for readers", extra={"build": build.build_id[:12], "attempt": attempt})
            time.sleep(min(0.1 * attempt, _LONGEST_PAUSE) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        else:
            return
    raise PublishError(
        f"build {build.build_id[:12]}: the tables were in use at each of {ATTEMPTS} attempts; end the readers that "
        "hold them open and run again with --resume"
    )


class _LockTimeoutError(Exception):
    """The time for all locks of one swap is over."""


def _swap(connection: sa.Connection, build: fencing.Build, ledger: int, version: int) -> None:
    until = time.monotonic() + LOCK_SECONDS
    _limit_waiting(connection, until)
    if fencing.hold(connection, build, exclusive=True) == fencing.PUBLISHED:
        return
    _limit_waiting(connection, until)
    cursor.read_last_ledger(connection, lock=True)
    tables = _in_order(build)
    if is_postgres(connection):
        for table in tables:
            _limit_waiting(connection, until)
            connection.exec_driver_sql(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
        _limit_waiting(connection, until)
    else:
        # Without it SQLite looks through all views for the dropped table's name and refuses.
        connection.exec_driver_sql("PRAGMA legacy_alter_table = ON")
    # Once more what was checked when the build began: nobody can change it any more from here on.
    guards.check_network(connection, build.network_passphrase)
    guards.check_version(connection)
    guards.check_other_tables(connection, ledger, build.tables)
    dependents.check_dependents(connection, tables)
    for table in tables:
        staging.swap(connection, build.build_id, table)
    _write_cursor(connection, build, ledger, version)
    of_build = ingest_builds.c.build_id == build.build_id
    done = {"status": fencing.PUBLISHED, "finished_at": clock(connection)}
    connection.execute(sa.update(ingest_builds).where(of_build).values(**done))
    backends.forget(connection, build.build_id)


def _limit_waiting(connection: sa.Connection, until: float) -> None:
    """Lets the next statement wait for locks only as long as the whole swap may still wait."""
    if not is_postgres(connection):
        return
    left = round((until - time.monotonic()) * 1000)
    if left <= 0:
        raise _LockTimeoutError
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {left}")


def _write_cursor(connection: sa.Connection, build: fencing.Build, ledger: int, version: int) -> None:
    cursor.write(connection, cursor.NETWORK, build.network_passphrase)
    cursor.write(connection, cursor.LAST_LEDGER, str(ledger))
    of_build = ingest_builds.c.build_id == build.build_id
    ledger_hash = connection.execute(sa.select(ingest_builds.c.ledger_hash).where(of_build)).scalar_one()
    cursor.write(connection, cursor.LAST_HASH, ledger_hash)
    cursor.write(connection, cursor.VERSION, str(version))
    cursor.write(connection, cursor.STATE_INVALID, "false")
    # Ledgers above the new state will be written again, each once more.
    connection.execute(sa.delete(ingest_commits).where(ingest_commits.c.ledger > ledger))
    order_book_removals.forget_all(connection)
    # Rows of the state that were refused up to it are in it, or were refused by the build.
    quarantine.forget(connection, LedgerRange(1, ledger), STATE_TABLES)


def _expected_rows(engine: sa.Engine, build: fencing.Build) -> Counter[str]:
    receipts = ingest_build_receipts.c
    query = sa.select(receipts.payload).where(receipts.build_id == build.build_id)
    expected: Counter[str] = Counter()
    with engine.connect() as connection:
        for payload in connection.execute(query).scalars():
            expected.update(json.loads(payload)["rows"])
    return expected


def _in_order(build: fencing.Build) -> list[str]:
    """Returns the build's tables in the one order in which everybody locks them."""
    return [table for table in STATE_TABLES if table in build.tables]


def _is_lock_timeout(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in {"55P03", "40P01"}
