"""A state that lacks what a ledger did to it, since that could not be read or stored: marked, and put right by a build.

The mark tells the ledger. A state of a checkpoint before it would come to the same ledger again, so only one of a
checkpoint at it or behind it puts the state right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aurora_ingest.db import chunk_locks, cursor, guards, quarantine
from aurora_ingest.db.engine import writing
from aurora_ingest.db.history import COUNTS_SCHEMA, delete_ledgers, trim_receipts
from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.db.load import load_batch
from aurora_ingest.db.quarantine import LEDGER, Quarantined
from aurora_ingest.errors import DatabaseError
from aurora_ingest.ledger.ledger_range import LedgerRange

LOST_AT: Final = "aurora_state_lost_at"
"""Key of the last ledger whose changes the state lacks."""


def mark(connection: sa.Connection, ledger: int) -> None:
    """Notes in the caller's transaction that the state lacks changes of a ledger; it has to be built again."""
    cursor.write(connection, cursor.STATE_INVALID, "true")
    cursor.write(connection, LOST_AT, str(ledger))


def lost_at(connection: sa.Connection) -> int | None:
    """Returns the last ledger whose changes a state has lacked, None if there never was one."""
    value = cursor.read(connection, LOST_AT)
    return None if value is None else int(value)


def put_ledger_aside(engine: sa.Engine, record: Quarantined, tables: Sequence[str], network_passphrase: str) -> int:
    """Puts a ledger into quarantine that cannot be decoded, and marks the state; the cursor stays before it.

    Without effect when the cursor is elsewhere or the state is marked already: another node was first.

    Args:
        engine: the database.
        record: the ledger.
        tables: history tables that lack its rows.
        network_passphrase: the ledger's network.

    Returns:
        How many records there are in quarantine now that were not before.

    Raises:
        DatabaseError: the database refuses or is held by another node; try again.
    """
    ledger = record.ledger
    here = LedgerRange(ledger, ledger)
    try:
        with writing(engine) as connection:
            last = cursor.read_last_ledger(connection, lock=True, nowait=True)
            guards.check_network(connection, network_passphrase)
            guards.check_version(connection)
            if last != ledger - 1 or cursor.is_state_invalid(connection):
                return 0
            chunk_locks.lock_ledgers(connection, here)
            delete_ledgers(connection, tables, here)
            trim_receipts(connection, here, tables)
            rows = {"ledger_sequence": ledger, "rows_in": 1, "rows_out": 0, "quarantined": 1}
            counts = pa.RecordBatch.from_pylist([{**rows, "table_name": table} for table in tables], COUNTS_SCHEMA)
            load_batch(connection, ingest_ledger_counts.name, counts)
            mark(connection, ledger)
            return quarantine.put(
                connection,
                [Quarantined(ledger, table, LEDGER, 0, record.raw, record.has_meta, record.reason) for table in tables],
            )
    except DBAPIError as error:
        message = f"ledger {ledger} cannot be put into quarantine now: {error.orig}"
        raise DatabaseError(message) from error
