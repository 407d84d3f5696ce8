"""Signs of life of a builder, in a connection of their own beside its long transactions."""

from __future__ import annotations

import logging
import os
import socket
import threading
from types import TracebackType
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from aurora_ingest.db.build_books import ingest_build_heartbeats
from aurora_ingest.db.engine import clock, is_postgres, writing
from aurora_ingest.errors import DatabaseError

_SECONDS = 5.0
_LOG = logging.getLogger(__name__)


class _Named(Protocol):
    @property
    def build_id(self) -> str: ...
    @property
    def epoch(self) -> int: ...


def node_name() -> str:
    """Returns how this process is called in the books."""
    return f"{socket.gethostname()}:{os.getpid()}"


def beat(connection: sa.Connection, build_id: str, epoch: int) -> None:
    """Notes by the database's clock that this process builds `build_id`; an older epoch leaves a newer note alone."""
    beats = ingest_build_heartbeats
    values = {"epoch": epoch, "node": node_name(), "beat_at": clock(connection)}
    of_build = beats.c.build_id == build_id
    changed = connection.execute(sa.update(beats).where(of_build & (beats.c.epoch <= epoch)).values(**values)).rowcount
    if changed == 0 and connection.execute(sa.select(beats.c.epoch).where(of_build)).first() is None:
        connection.execute(sa.insert(beats).values(build_id=build_id, **values))


def silence(connection: sa.Connection, build_id: str) -> float:
    """Returns the seconds since a builder of `build_id` was last heard of; infinite when there never was one."""
    beats = ingest_build_heartbeats
    query = sa.select(clock(connection) - beats.c.beat_at).where(beats.c.build_id == build_id)
    seconds = connection.execute(query).scalar_one_or_none()
    return float("inf") if seconds is None else max(float(seconds), 0.0)


class Heartbeat:
    """Beats every few seconds from a thread of its own while a block runs.

    A beat that fails is logged and tried again: the transactions of the builder find out themselves whether the
    database is gone, and its epoch decides whether it may still write.
    """

    def __init__(self, engine: sa.Engine, build: _Named, seconds: float = _SECONDS) -> None:
        """Keeps the database and the build; `seconds` lie between two beats."""
        self._engine = engine
        self._build = build
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:  # noqa: PYI034 - typing has Self only from Python 3.11 on
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=self._seconds)

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                with writing(self._engine) as connection:
                    if is_postgres(connection):
                        # A process that is stopped between two statements must not keep the books locked.
                        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '5s'")
                    beat(connection, self._build.build_id, self._build.epoch)
            except (SQLAlchemyError, DatabaseError) as error:
                _LOG.warning("Heartbeat failed", extra={"build": self._build.build_id[:12], "error": str(error)})
