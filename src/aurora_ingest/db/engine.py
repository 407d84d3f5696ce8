"""Opening a database: PostgreSQL through psycopg, or SQLite with one writer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from aurora_ingest.errors import DatabaseError, UsageError

_SQLITE_BUSY_SECONDS = 60
_WRITES = "aurora_writes"


def connect(url: str) -> sa.Engine:
    """Opens a database and sees whether it answers.

    Args:
        url: ``postgresql://user@host/name`` or ``sqlite:///file.db``.

    Raises:
        UsageError: no such kind of database, or SQLite in memory.
        DatabaseError: it does not answer.
    """
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise DatabaseError(f"database {shown(engine)} does not answer: {reason}") from error
    return engine


def shown(engine: sa.Engine) -> str:
    """Returns the database's address for messages, without the password."""
    return engine.url.render_as_string(hide_password=True)


def is_postgres(connection: sa.Connection | sa.Engine) -> bool:
    """Tells PostgreSQL from SQLite."""
    return connection.dialect.name == "postgresql"


def clock(connection: sa.Connection) -> sa.ColumnElement[float]:
    """Returns the database's own clock as an expression, in seconds since 1970; builders' clocks may disagree."""
    if is_postgres(connection):
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double())
    return sa.literal_column("(julianday('now') - 2440587.5) * 86400.0", sa.Double())


@contextmanager
def writer(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection whose transactions write.

    SQLite takes its write lock at once, so that two writers wait for each other instead of failing halfway.
    """
    with engine.connect() as connection:
        yield connection.execution_options(**{_WRITES: True})


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that writes: committed at the end of the block, rolled back by an error in it.

    Raises:
        DatabaseError: another process holds SQLite's write lock for longer than a minute.
    """
    with writer(engine) as connection, connection.begin():
        yield connection


@contextmanager
def refusals_told(message: str) -> Iterator[None]:
    """Raises what the driver raises inside of a block as an error with a message for people.

    Raises:
        DatabaseError: with that message.
    """
    try:
        yield
    except DBAPIError as error:
        raise DatabaseError(message) from error


def address_of(url: str) -> sa.URL:
    """Reads a database's address, with psycopg as PostgreSQL's driver unless another is named.

    Raises:
        UsageError: it cannot be read, or is of another kind of database.
    """
    try:
        address = sa.make_url(url)
    except ArgumentError as error:
        raise UsageError(
            f"database URL {url!r} cannot be read; expected postgresql://… or sqlite:///file.db"
        ) from error
    if address.drivername in {"postgresql", "postgres"}:
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() not in {"sqlite", "postgresql"}:
        raise UsageError(f"database kind {address.drivername!r} is unknown; expected postgresql:// or sqlite:///")
    return address


def _engine(url: str) -> sa.Engine:
    address = address_of(url)
    if address.get_backend_name() == "sqlite":
        refuse_in_memory(address)
        engine = sa.create_engine(address, connect_args={"check_same_thread": False, "timeout": _SQLITE_BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        return sa.create_engine(address, pool_pre_ping=True)
    except NoSuchModuleError as error:
        raise UsageError(f"database driver {address.drivername!r} is unknown; write postgresql://…") from error


def refuse_in_memory(address: sa.URL) -> None:
    """Refuses a database that each connection would have of its own and that ends with the process."""
    name = address.database or ""
    if name in {"", ":memory:"} or name.startswith("file::memory:") or address.query.get("mode") == "memory":
        raise UsageError(
            f"database URL {address.render_as_string()!r} is SQLite in memory: its tables would end with this process; "
            "expected a file, sqlite:///file.db"
        )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by us, see below
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    if not connection.get_execution_options().get(_WRITES, False):
        connection.exec_driver_sql("BEGIN")
        return
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as error:
        if "locked" not in str(error.orig):
            raise
        raise DatabaseError(
            f"database {shown(connection.engine)} has been locked by another process for {_SQLITE_BUSY_SECONDS} s: "
            "wait for that process, or end it, and run again"
        ) from error
