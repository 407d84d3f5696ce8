"""The database's side of the state verifier: a pinned moment, its rows, and what follows from a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest.db import cursor, state_digest, verifier_books
from aurora_ingest.db.build_books import ingest_builds
from aurora_ingest.db.engine import is_postgres, writing
from aurora_ingest.db.fencing import PUBLISHED
from aurora_ingest.db.read_only import read_only_session
from aurora_ingest.db.tables import STATE_TABLES

TABLES: Final = tuple(STATE_TABLES)
"""The tables that are compared."""
_ROWS: Final = 16_384
_SILENCE_SECONDS: Final = 60
_WIDE: Final = {"contract_code": 64, "contract_data": 1024}
"""Rows of a piece where one row may have 64 kB and more."""


@dataclass(frozen=True)
class Pinned:
    """A state at one moment, kept by an open transaction.

    Attributes:
        connection: the transaction.
        checkpoint: ledger of the state.
        ledger_hash: hash of that ledger, lower-case hex.
        lineage: the build that the state comes from and its epoch, None if it was never built.
        backend: number of the server's process that keeps it, None in SQLite.
        is_verified: somebody has compared this very state already, and it was sound.
    """

    connection: sa.Connection
    checkpoint: int
    ledger_hash: str | None
    lineage: tuple[str, int] | None
    backend: int | None = None
    is_verified: bool = False


@contextmanager
def pinned(engine: sa.Engine, is_wanted: Callable[[int], bool]) -> Iterator[Pinned | None]:
    """Keeps the state as it is now for the time of a block.

    Args:
        engine: the database.
        is_wanted: tells of a ledger whether its state is wanted.

    Yields:
        The state; None if it stands at another ledger, is known to be wrong, or was made by another version.
    """
    with read_only_session(engine) as connection:
        backend = None
        if is_postgres(connection):
            # Whoever is stopped must not keep a publish from its tables for ever; whoever lives says so by `keep`.
            connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{_SILENCE_SECONDS}s'")
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            backend = int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        last = cursor.read_last_ledger(connection)
        is_ours = cursor.read_version(connection) == cursor.CURRENT_VERSION
        if last is None or not is_wanted(last) or not is_ours or cursor.is_state_invalid(connection):
            yield None
        else:
            yield Pinned(
                connection,
                last,
                cursor.read_last_hash(connection),
                _lineage(connection),
                backend,
                _is_verified(connection, last),
            )


def keep(state: Pinned) -> None:
    """Keeps the server from ending a transaction for its silence; may be called from another thread than its reader."""
    if state.backend is not None:
        driver: Any = state.connection.connection.driver_connection
        driver.execute("SELECT 1")


def let_go(engine: sa.Engine, state: Pinned) -> None:
    """Ends a transaction whose reader does not: another one needs the tables."""
    if state.backend is not None:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": state.backend})


def rows(state: Pinned, table: str) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a table with the columns that are compared, in pieces of a few megabytes, in any order."""
    columns = [STATE_TABLES[table].columns[name] for name in state_digest.verified_columns(table)]
    kinds = [state_digest.arrow_type(column) for column in columns]
    schema = pa.schema([(column.name, kind) for column, kind in zip(columns, kinds, strict=True)])
    # JSON and exact numbers come as text; everything else as the driver gives it.
    query = sa.select(
        *(
            sa.cast(column, sa.Text()).label(column.name) if kind == pa.string() else column
            for column, kind in zip(columns, kinds, strict=True)
        )
    ).execution_options(yield_per=_WIDE.get(table, _ROWS))
    with state.connection.execute(query) as result:
        for some in result.partitions():
            values = zip(*some, strict=True)
            arrays = [pa.array(each, kind) for each, kind in zip(values, kinds, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def conclude(engine: sa.Engine, state: Pinned, node: str, *, seconds: float, outcome: str, detail: str = "") -> bool:
    """Notes what came of a comparison; a mismatch marks the state as wrong, unless it was built anew meanwhile.

    Args:
        engine: the database.
        state: what was compared; its transaction may still be open.
        node: who compared.
        seconds: how long it took.
        outcome: SOUND, MISMATCH, FAILED or CANCELLED.
        detail: what differed, or why nothing can be said.

    Returns:
        True if the state is marked as wrong.
    """
    with writing(engine) as connection:
        is_marked = False
        if outcome == verifier_books.MISMATCH:
            last = cursor.read_last_ledger(connection, lock=True)
            is_same = last is not None and last >= state.checkpoint and _lineage(connection) == state.lineage
            if is_same and cursor.read_version(connection) == cursor.CURRENT_VERSION:
                cursor.write(connection, cursor.STATE_INVALID, "true")
                is_marked = True
        verifier_books.note(connection, state.checkpoint, node, seconds=seconds, outcome=outcome, detail=detail)
        return is_marked


def _is_verified(connection: sa.Connection, ledger: int) -> bool:
    """Tells whether the state at a ledger was found sound since the last build was published."""
    book = verifier_books.ingest_verifications.c
    published = sa.select(sa.func.max(ingest_builds.c.finished_at)).where(ingest_builds.c.status == PUBLISHED)
    is_sound = (book.checkpoint == ledger) & (book.outcome == verifier_books.SOUND)
    since = book.verified_at >= sa.func.coalesce(published.scalar_subquery(), 0.0)
    return connection.execute(sa.select(book.node).where(is_sound & since)).first() is not None


def _lineage(connection: sa.Connection) -> tuple[str, int] | None:
    """Returns the build that was published last and its epoch."""
    builds = ingest_builds.c
    query = sa.select(builds.build_id, builds.epoch).where(builds.status == PUBLISHED)
    row = connection.execute(query.order_by(builds.finished_at.desc()).limit(1)).first()
    return None if row is None else (row.build_id, row.epoch)
