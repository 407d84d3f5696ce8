"""A ledger with rows that the database refuses: they are found by trial, and the ledger goes on without them."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aurora_ingest.db import quarantine
from aurora_ingest.db.apply_state import apply_state, stage_states
from aurora_ingest.db.history import COUNTS_SCHEMA, delete_ledgers
from aurora_ingest.db.quarantine import Quarantined, RefusedRow
from aurora_ingest.db.state_change import StateChange, TableChange
from aurora_ingest.errors import RowRejectedError
from aurora_ingest.ledger.ledger_range import LedgerRange

if TYPE_CHECKING:
    from aurora_ingest.db.lead import PreparedLedger


def sifted(connection: sa.Connection, ledger: PreparedLedger) -> PreparedLedger:
    """Tries every row of a ledger and returns the ledger with those that are taken; the others go into quarantine.

    Args:
        connection: in a transaction with the cursor locked just before the ledger; the caller rolls it back.
        ledger: a ledger of which some row was refused.

    Returns:
        The same ledger without refused rows. If the state lacks one, it is lost from this ledger on.
    """
    records: list[Quarantined] = []
    delete_ledgers(connection, ledger.history, LedgerRange(ledger.sequence, ledger.sequence))
    history = {}
    for table, batch in ledger.history.items():
        refused = quarantine.load_good(connection, table, batch)
        records += quarantine.records_of(ledger.sequence, table, batch, refused)
        history[table] = _without(batch, refused)
    counts = ledger.counts if ledger.counts is None else _counted(ledger.counts, records)
    state, lost = _good_state(connection, ledger.state)
    return replace(
        ledger,
        history=history,
        counts=counts,
        state=state,
        quarantined=(*ledger.quarantined, *records, *lost),
        state_lost=ledger.state_lost or bool(lost),
    )


def _good_state(connection: sa.Connection, change: StateChange) -> tuple[StateChange, list[Quarantined]]:
    tables, records = {}, []
    for table, rows in change.tables.items():
        refused = quarantine.refused_rows(
            rows.upserts.num_rows,
            lambda first, end, table=table, rows=rows: _try(  # type: ignore[misc]  # mypy infers no lambda with defaults
                connection, change, table, rows.upserts.slice(first, end - first)
            ),
        )
        records += quarantine.records_of(change.ledger, table, rows.upserts, refused)
        tables[table] = TableChange(_without(rows.upserts, refused), rows.leaving)
    return replace(change, tables=tables), records


def _try(connection: sa.Connection, change: StateChange, table: str, rows: pa.RecordBatch) -> str | None:
    """Writes rows of one state table and takes that back; returns why they were refused."""
    gone = change.tables[table].leaving.slice(0, 0)
    alone = replace(change, tables={table: TableChange(rows, gone)}, asset_stats=None, contracts=None)
    savepoint = connection.begin_nested()
    try:
        for staged in stage_states(connection, [alone]):
            apply_state(connection, staged)
    except (RowRejectedError, DBAPIError, psycopg.Error, sqlite3.Error) as error:
        if not quarantine.is_of_a_row(error):
            raise
        return quarantine.first_line(error)
    finally:
        savepoint.rollback()
    return None


def _without(batch: pa.RecordBatch, refused: list[RefusedRow]) -> pa.RecordBatch:
    if not refused:
        return batch
    gone = {each.row for each in refused}
    return batch.take(pa.array([row for row in range(batch.num_rows) if row not in gone], pa.int64()))


def _counted(counts: pa.RecordBatch, records: list[Quarantined]) -> pa.RecordBatch:
    """Returns counts with the rows of records moved into quarantine; a ledger has one count for each table."""
    rows = counts.to_pylist()
    for row in rows:
        held = sum(record.table == row["table_name"] for record in records)
        row["rows_out"] -= held
        row["quarantined"] += held
    return pa.RecordBatch.from_pylist(rows, COUNTS_SCHEMA)
