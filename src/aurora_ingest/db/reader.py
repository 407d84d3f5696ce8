"""Reading for many at once: connections that cannot write, statements with a deadline, and where the state stands."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from aurora_ingest.db import cursor
from aurora_ingest.db.engine import address_of, is_postgres, refuse_in_memory, shown
from aurora_ingest.db.read_only import read_only_session
from aurora_ingest.db.tables import key_value_store
from aurora_ingest.errors import BusyDatabaseError, DatabaseError, StatementTimeoutError

_POOL_SECONDS: Final = 5.0
_SQLITE_BUSY_SECONDS: Final = 5.0
_SQLITE_STEPS: Final = 20_000
"""Steps of SQLite's machine between two looks at the clock: well under a millisecond."""
_FACTS: Final = (
    cursor.LAST_LEDGER,
    cursor.LAST_HASH,
    cursor.VERSION,
    cursor.STATE_INVALID,
    cursor.NETWORK,
    cursor.HISTORY_TABLES,
)


@dataclass(frozen=True)
class Standing:
    """Where a database stands at one moment.

    Attributes:
        ledger: the ledger of all state tables, None before the first state.
        ledger_hash: its hash, lower-case hex.
        version: version of the rules that made the state, None before the first state.
        state_invalid: the state was found wrong and waits for a rebuild.
        network_passphrase: network of the database, None in an empty one.
    """

    ledger: int | None
    ledger_hash: str | None
    version: int | None
    state_invalid: bool
    network_passphrase: str | None

    @property
    def is_ready(self) -> bool:
        """Whether there is a state, of this version, that nobody found wrong."""
        return self.ledger is not None and self.version == cursor.CURRENT_VERSION and not self.state_invalid


def connect_reader(url: str, *, connections: int, statement_seconds: float) -> sa.Engine:
    """Opens a database for reading only.

    Args:
        url: ``postgresql://user@host/name`` or ``sqlite:///file.db``; the user needs no more than SELECT.
        connections: most sessions at once.
        statement_seconds: longest time of a statement.

    Raises:
        UsageError: no such kind of database.
        DatabaseError: it does not answer.
    """
    address = address_of(url)
    pool: dict[str, Any] = {"pool_size": connections, "max_overflow": 0, "pool_timeout": _POOL_SECONDS}
    if address.get_backend_name() == "sqlite":
        refuse_in_memory(address)
        path = quote(str(Path(address.database or "").absolute()))
        engine = sa.create_engine(address, creator=lambda: _open_sqlite(path), poolclass=sa.QueuePool, **pool)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    else:
        milliseconds = max(int(statement_seconds * 1000), 1)
        settings = f"-c default_transaction_read_only=on -c statement_timeout={milliseconds}"
        engine = sa.create_engine(
            address,
            pool_pre_ping=True,
            connect_args={"options": settings},
            execution_options={"postgresql_readonly": True},  # else the driver begins READ WRITE after a first session
            **pool,
        )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise DatabaseError(f"database {shown(engine)} does not answer: {reason}") from error
    return engine


@contextmanager
def reading(engine: sa.Engine, statement_seconds: float) -> Iterator[tuple[sa.Connection, Standing]]:
    """One transaction that only reads, and where the database stood at its one moment.

    Raises:
        StatementTimeoutError: a statement took longer than allowed.
        BusyDatabaseError: no connection became free, or the database went away.
    """
    try:
        with read_only_session(engine) as connection, _deadline(connection, statement_seconds):
            yield connection, read_standing(connection)
    except PoolTimeoutError as error:
        raise BusyDatabaseError(f"no connection to the database became free within {_POOL_SECONDS:g} s") from error
    except DBAPIError as error:
        if _is_deadline(error):
            raise StatementTimeoutError(f"a statement took longer than {statement_seconds:g} s") from error
        if error.connection_invalidated or isinstance(error, OperationalError):
            raise BusyDatabaseError(f"the database does not answer: {str(error.orig).strip()}") from error
        raise


def read_standing(connection: sa.Connection) -> Standing:
    """Reads where the database stands, in the transaction of the connection."""
    columns = key_value_store.c
    query = sa.select(columns.key, columns.value).where(columns.key.in_(_FACTS))
    facts: dict[str, str] = {row.key: row.value for row in connection.execute(query)}
    return Standing(
        ledger=int(facts.get(cursor.LAST_LEDGER, 0)) or None,
        ledger_hash=facts.get(cursor.LAST_HASH),
        version=int(facts.get(cursor.VERSION, 0)) or None,
        state_invalid=facts.get(cursor.STATE_INVALID) == "true",
        network_passphrase=facts.get(cursor.NETWORK),
    )


def _open_sqlite(path: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{path}?mode=ro", uri=True, timeout=_SQLITE_BUSY_SECONDS, check_same_thread=False, isolation_level=None
    )


@contextmanager
def _deadline(connection: sa.Connection, seconds: float) -> Iterator[None]:
    """Ends what SQLite works on at the deadline; PostgreSQL has its own, set with the session."""
    if is_postgres(connection):
        yield
        return
    raw: Any = connection.connection.driver_connection
    end = time.monotonic() + seconds
    raw.set_progress_handler(lambda: time.monotonic() > end, _SQLITE_STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


def _is_deadline(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == "57014" or str(error.orig) == "interrupted"
