"""Who is live: followers and runs beyond the cursor announce themselves here, and keep out of each other's way.

Whoever begins announces itself first and looks for the other side second, so of two that begin at once at least one
sees the other. PostgreSQL keeps the announcement as a shared advisory lock of a session, which goes with its owner;
SQLite keeps a row with the process's name, which is ignored once that process is gone.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from aurora_ingest.db import cursor
from aurora_ingest.db.engine import is_postgres, writing
from aurora_ingest.db.heartbeat import node_name
from aurora_ingest.db.history_books import ingest_live
from aurora_ingest.errors import DatabaseError
from aurora_ingest.ledger.ledger_range import LedgerRange

FOLLOWER: Final = "follower"
REINGEST: Final = "reingest"
VERIFIER: Final = "verifier"
_LOCK_CLASS: Final = 0x4155_5201
"""First half of the advisory locks' numbers: `AUR` and 1."""
_LOCKS: Final = {FOLLOWER: 1, REINGEST: 2, VERIFIER: 3}


@contextmanager
def following(engine: sa.Engine) -> Iterator[Callable[[], None]]:
    """Announces a follower for as long as the block runs; any number of them may run at once.

    Args:
        engine: the database that is followed.

    Yields:
        A function to be called now and then: it raises the driver's error when the announcement is gone, for instance
        because the server has ended an idle session.

    Raises:
        DatabaseError: history beyond the cursor is being written by a reingest.
    """
    with _announced(engine, FOLLOWER) as still_announced:
        if is_announced(engine, REINGEST):
            raise DatabaseError(
                "history beyond the cursor is being written by reingest-range: follow again when it has ended"
            )
        yield still_announced


@contextmanager
def reingesting(engine: sa.Engine, ledgers: LedgerRange) -> Iterator[None]:
    """Keeps followers from beginning while history beyond the cursor is written; without effect at or below it.

    Args:
        engine: the database that is written.
        ledgers: what is going to be written.

    Raises:
        DatabaseError: the ledgers go beyond the cursor and a follower runs.
    """
    if not _is_beyond(engine, ledgers):
        yield
        return
    with _announced(engine, REINGEST):
        refuse_beyond_cursor(engine, ledgers)
        yield


@contextmanager
def alone(engine: sa.Engine, role: str) -> Iterator[bool]:
    """Holds a role that only one process may have at a time, for as long as the block runs.

    Args:
        engine: the database.
        role: VERIFIER.

    Yields:
        False if somebody else holds it; the block then has to do without.
    """
    if is_postgres(engine):
        with engine.connect() as connection:
            session = connection.execution_options(isolation_level="AUTOCOMMIT")
            numbers = {"kind": _LOCK_CLASS, "number": _LOCKS[role]}
            is_ours = session.execute(sa.text("SELECT pg_try_advisory_lock(:kind, :number)"), numbers).scalar_one()
            try:
                yield bool(is_ours)
            finally:
                if is_ours and not session.invalidated:
                    session.execute(sa.text("SELECT pg_advisory_unlock(:kind, :number)"), numbers)
        return
    node = f"{node_name()}:{time.monotonic_ns()}"
    with writing(engine) as connection:
        _forget_dead(connection)
        held = sa.select(ingest_live.c.node).where(ingest_live.c.role == role)
        is_ours = connection.execute(held).first() is None
        if is_ours:
            connection.execute(sa.insert(ingest_live).values(node=node, role=role, since=time.time()))
    try:
        yield is_ours
    finally:
        if is_ours:
            with writing(engine) as connection:
                connection.execute(sa.delete(ingest_live).where(ingest_live.c.node == node))


def refuse_beyond_cursor(engine: sa.Engine, ledgers: LedgerRange) -> None:
    """Refuses ledgers that a running follower has yet to write.

    Raises:
        DatabaseError: the ledgers go beyond the cursor and a follower runs; without one, any ledger may be written.
    """
    if is_announced(engine, FOLLOWER) and _is_beyond(engine, ledgers):
        with engine.connect() as connection:
            last = cursor.read_last_ledger(connection)
        at = "has no ledger yet" if last is None else f"is at ledger {last}"
        raise DatabaseError(
            f"ledgers {ledgers} go beyond the cursor, which {at}, and a follower is running: "
            "end the range at the cursor, or stop the follower"
        )


def is_announced(engine: sa.Engine, role: str) -> bool:
    """Tells whether anybody is live in a role: FOLLOWER or REINGEST."""
    with engine.connect() as connection:
        if is_postgres(connection):
            held = sa.text(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
                "AND classid = CAST(:kind AS bigint)::oid AND objid = CAST(:number AS bigint)::oid "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1"
            )
            return connection.execute(held, {"kind": _LOCK_CLASS, "number": _LOCKS[role]}).first() is not None
        nodes = connection.execute(sa.select(ingest_live.c.node).where(ingest_live.c.role == role)).scalars()
        return any(_lives(node) for node in nodes)


def _is_beyond(engine: sa.Engine, ledgers: LedgerRange) -> bool:
    with engine.connect() as connection:
        return ledgers.last > (cursor.read_last_ledger(connection) or 0)


@contextmanager
def _announced(engine: sa.Engine, role: str) -> Iterator[Callable[[], None]]:
    if is_postgres(engine):
        with engine.connect() as connection:
            # Of the session, not of a transaction: an open transaction would keep old row versions from being cleared.
            session = connection.execution_options(isolation_level="AUTOCOMMIT")
            numbers = {"kind": _LOCK_CLASS, "number": _LOCKS[role]}
            session.execute(sa.text("SELECT pg_advisory_lock_shared(:kind, :number)"), numbers)
            try:
                yield lambda: session.execute(sa.text("SELECT 1")).close()
            finally:
                if not session.invalidated:
                    session.execute(sa.text("SELECT pg_advisory_unlock_shared(:kind, :number)"), numbers)
        return
    node = f"{node_name()}:{time.monotonic_ns()}"
    with writing(engine) as connection:
        _forget_dead(connection)
        connection.execute(sa.insert(ingest_live).values(node=node, role=role, since=time.time()))
    try:
        yield lambda: None
    finally:
        with writing(engine) as connection:
            connection.execute(sa.delete(ingest_live).where(ingest_live.c.node == node))


def _forget_dead(connection: sa.Connection) -> None:
    for node in connection.execute(sa.select(ingest_live.c.node)).scalars().all():
        if not _lives(node):
            connection.execute(sa.delete(ingest_live).where(ingest_live.c.node == node))


def _lives(node: str) -> bool:
    """Tells whether the process behind a row may still run; one of another machine is believed."""
    host, process, _ = node.rsplit(":", 2)
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
