"""The server processes that write builds: noted before they write, so that a stopped builder's can be ended."""

from __future__ import annotations

import logging
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import ProgrammingError

from aurora_ingest.db.build_books import ingest_build_backends
from aurora_ingest.db.engine import is_postgres
from aurora_ingest.db.heartbeat import node_name
from aurora_ingest.errors import DatabaseError

_NOTED: Final = "aurora_noted_builds"
_LOG = logging.getLogger(__name__)


def note(connection: sa.Connection, build_id: str) -> None:
    """Notes the server's process behind a connection in a transaction of its own, once per connection and build.

    A client that is stopped in the middle of a COPY holds its locks for ever, and no timeout of the server ends that:
    whoever takes the build over has to know the process.
    """
    noted: set[str] = connection.info.setdefault(_NOTED, set())
    if not is_postgres(connection) or build_id in noted:
        return
    with connection.begin():
        mine = sa.text(
            "SELECT pid, CAST(extract(epoch FROM backend_start) AS double precision) AS started "
            "FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        )
        backend = connection.execute(mine).one()
        values = {"build_id": build_id, "pid": backend.pid, "started": backend.started, "node": node_name()}
        connection.execute(postgresql.insert(ingest_build_backends).values(**values).on_conflict_do_nothing())
    noted.add(build_id)


def end(connection: sa.Connection, build_id: str) -> int:
    """Ends the noted processes of a build that are inside a transaction, and forgets all of them.

    Their clients find out at their next statement. A process that only has the number of a noted one is left alone.

    Returns:
        How many were ended.

    Raises:
        DatabaseError: this role may not end them.
    """
    if not is_postgres(connection):
        return 0
    query = sa.text(
        "SELECT b.pid, b.node, pg_terminate_backend(b.pid) FROM ingest_build_backends b JOIN pg_stat_activity a "
        "ON a.pid = b.pid AND CAST(extract(epoch FROM a.backend_start) AS double precision) = b.started "
        "WHERE b.build_id = :build_id AND b.pid <> pg_backend_pid() AND a.state IS DISTINCT FROM 'idle'"
    )
    try:
        ended = connection.execute(query, {"build_id": build_id}).all()
    except ProgrammingError as error:
        raise DatabaseError(
            f"build {build_id[:12]}: its former builder holds locks and this role may not end its session; "
            "end it with the role that started it, or as a member of pg_signal_backend"
        ) from error
    for backend in ended:
        _LOG.warning("Session of a former builder ended", extra={"pid": backend.pid, "node": backend.node})
    forget(connection, build_id)
    return len(ended)


def forget(connection: sa.Connection, build_id: str) -> None:
    """Forgets the noted processes of a build that nobody writes any more."""
    connection.execute(sa.delete(ingest_build_backends).where(ingest_build_backends.c.build_id == build_id))
