"""Rows of the history tables in either database: arrays, ranges, times, and what a column refuses."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from aurora_ingest.db.engine import is_postgres, writing
from aurora_ingest.db.history_tables import HISTORY_TABLES
from aurora_ingest.db.load import load_batch
from aurora_ingest.errors import RowRejectedError
from aurora_ingest.transforms.processors import HISTORY_PROCESSORS
from aurora_ingest.transforms.processors.history_transactions import history_transaction_rows
from db import states
from history_batches import chunk_with, decoded, whole_decoded

TRANSACTIONS: list[dict[str, Any]] = [
    {"id": 1, "close_time": 1_781_828_531, "signatures": ["a+/=", "b"], "time_bounds_lower": 0},
    {
        "id": 2,
        "signatures": [],
        "inner_signatures": ["é", '{"}'],
        "successful": True,
        "time_bounds_lower": 5,
        "time_bounds_upper": 9,
        "ledger_bounds_lower": 7,
        "ledger_bounds_upper": 7,
        "extra_signers": ["G", "P"],
        "memo_type": "text",
        "memo": "a\ufffd",
        "memo_bytes": b"a\xff",
        "min_account_sequence_age": 2**64 - 1,
    },
]
IN_POSTGRES = [
    "{a+/=,b}|NULL|[0,)|NULL|NULL|NULL|false|2026-06-19 00:22:11|NULL",
    '{}|{é,"{\\"}"}|[5,9)|empty|{G,P}|\\x61ff|true|1970-01-01 00:00:00|18446744073709551615',
]
IN_SQLITE = [
    '["a+/=", "b"]|NULL|[0,)|NULL|NULL|NULL|0|2026-06-19 00:22:11|NULL',
    '[]|["é", "{\\"}"]|[5,9)|empty|["G", "P"]|61FF|1|1970-01-01 00:00:00|18446744073709551615',
]
COLUMNS = (
    "signatures",
    "inner_signatures",
    "time_bounds",
    "ledger_bounds",
    "extra_signers",
    "memo_bytes",
    "successful",
    "created_at",
    "min_account_sequence_age",
)


def test_rows_are_stored_in_the_database_s_own_forms(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        rows = history_transaction_rows(decoded("transactions", *TRANSACTIONS))
        assert load_batch(connection, "history_transactions", rows) == 2
        in_postgres = is_postgres(connection)
        shown = (name if in_postgres or name != "memo_bytes" else "hex(memo_bytes)" for name in COLUMNS)
        texts = [f"CAST({name} AS TEXT)" for name in shown]
        found = connection.exec_driver_sql(f"SELECT {', '.join(texts)} FROM history_transactions ORDER BY id")
        lines = ["|".join("NULL" if value in {None, ""} else value for value in row) for row in found]
    assert lines == (IN_POSTGRES if in_postgres else IN_SQLITE)


def test_times_come_back_through_sqlalchemy(engine: sa.Engine) -> None:
    table = HISTORY_TABLES["history_transactions"]
    with writing(engine) as connection:
        load_batch(connection, table.name, history_transaction_rows(decoded("transactions", *TRANSACTIONS)))
        query = sa.select(table.c.created_at).order_by(table.c.id)
        assert connection.execute(query).scalars().first() == dt.datetime.fromisoformat("2026-06-19T00:22:11")


def test_every_history_table_takes_its_rows(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        for process in HISTORY_PROCESSORS:
            rows = process.spec.rows(chunk_with(whole_decoded(1)))
            assert load_batch(connection, process.spec.name, rows) == 1
            table = HISTORY_TABLES[process.spec.name]
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 1


@pytest.mark.postgres
def test_a_value_that_a_column_cannot_hold_is_named(postgres_url: str) -> None:
    rows = history_transaction_rows(decoded("transactions", {}, {"memo": "a\0"}))
    engine = states.migrated(postgres_url)
    with writing(engine) as connection, pytest.raises(RowRejectedError, match="row 1, column memo: a NUL"):
        load_batch(connection, "history_transactions", rows)
    engine.dispose()


def test_rows_may_be_a_slice(engine: sa.Engine) -> None:
    rows = history_transaction_rows(decoded("transactions", *TRANSACTIONS)).slice(1)
    with writing(engine) as connection:
        load_batch(connection, "history_transactions", rows)
        found = connection.exec_driver_sql("SELECT id, CAST(time_bounds AS TEXT) FROM history_transactions").all()
    assert [tuple(row) for row in found] == [(2, "[5,9)")]
    assert pa.types.is_struct(rows.schema.field("time_bounds").type)


@pytest.mark.postgres
def test_postgresql_compresses_xdr_by_lz4_where_it_can(postgres_url: str) -> None:
    engine = states.migrated(postgres_url)
    query = """SELECT attname, attcompression FROM pg_attribute
        WHERE attrelid = 'history_transactions'::regclass AND attname LIKE 'tx\\_%%'"""
    known = "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
    with engine.connect() as connection:
        wanted = "l" if connection.exec_driver_sql(known).scalar() else ""
        found = {str(name): method for name, method in connection.exec_driver_sql(query)}
    engine.dispose()
    assert found == dict.fromkeys(("tx_envelope", "tx_result", "tx_meta", "tx_fee_meta"), wanted)
