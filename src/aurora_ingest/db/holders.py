"""Who holds the cursor's row, and ending a session that has held it for too long."""

from __future__ import annotations

import logging

import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from aurora_ingest.db import cursor
from aurora_ingest.db.engine import is_postgres
from aurora_ingest.errors import DatabaseError

_LOG = logging.getLogger(__name__)

# A row that is locked carries the transaction that locks it in xmax, and that transaction holds a lock on its own
# number: so the holder is found at the very moment it is asked for, with nothing to be noted before. It counts as
# stuck by the time since its last statement began or ended, not by the age of its transaction: rows are sent in the
# same transaction before the cursor is locked, and that may take long.
_HOLDERS = sa.text(
    "SELECT a.pid, a.application_name, extract(epoch FROM clock_timestamp() - a.state_change) AS seconds "
    "FROM key_value_store k JOIN pg_locks l ON l.locktype = 'transactionid' AND l.transactionid = k.xmax "
    "AND l.mode = 'ExclusiveLock' AND l.granted JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE k.key = :key AND a.pid <> pg_backend_pid()"
)


def end_past_deadline(connection: sa.Connection, seconds: float) -> int:
    """Ends the session that holds the cursor's row if nothing has happened in it for longer than a deadline.

    A client that is stopped keeps its transaction for ever. The server's own timeouts end most of them; this ends the
    rest, for instance one that was stopped while it sent rows and had taken the row before.

    Args:
        connection: of another node.
        seconds: the deadline.

    Returns:
        How many sessions were ended, 0 or 1.

    Raises:
        DatabaseError: this role may not end it.
    """
    if not is_postgres(connection):
        return 0
    held = [row for row in connection.execute(_HOLDERS, {"key": cursor.LAST_LEDGER}).all() if row.seconds > seconds]
    for holder in held:
        try:
            connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": holder.pid})
        except ProgrammingError as error:
            raise DatabaseError(
                f"session {holder.pid} has held the cursor for {holder.seconds:.0f} s and this role may not end it; "
                "end it with the role that started it, or as a member of pg_signal_backend"
            ) from error
        _LOG.warning("Session that held the cursor too long ended", extra={"pid": holder.pid, "node": holder[1]})
    return len(held)
