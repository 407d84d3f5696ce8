"""History of every lake against what Horizon made of it: all columns of ledgers, transactions and operations."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from aurora_ingest.db import schema
from aurora_ingest.db.engine import connect, writing
from aurora_ingest.db.load import load_batch
from differential.built_state import PUBNET, TESTNET
from differential.closed_ledgers import LOADTEST, history, lake
from differential.exact_csv import Value, parse_csv, read_csv
from differential.horizon_history import NOT_COMPARED, array_text, assert_columns_equal

pytestmark = pytest.mark.shared_data

LAKES = (
    "loadtest-10048-10077",
    "pubnet-16154623",
    "pubnet-26154623",
    "pubnet-30822015-30822025",
    "pubnet-46154623",
    "pubnet-51000294",
    "pubnet-53312000",
    "pubnet-57500008",
    "pubnet-60659332",
    "pubnet-6154623",
    "pubnet-63092988",
    "pubnet-63092996",
    "testnet-1410048-1410303",
    "testnet-997-999",
)
KEYS = {"history_ledgers": "sequence", "history_transactions": "id", "history_operations": "id"}
TABLES = tuple(KEYS)
COLUMNS = {"history_ledgers": 17, "history_transactions": 29, "history_operations": 7}
FLAGS = {"successful", "is_payment"}
ARRAYS = {"signatures", "inner_signatures", "extra_signers"}
PASSPHRASES = {"pubnet": PUBNET, "testnet": TESTNET, "loadtest": LOADTEST}


@functools.cache
def history_of(shared_data: Path, name: str) -> dict[str, pa.Table]:
    return history(lake(shared_data / "lakes" / name), PASSPHRASES[name.partition("-")[0]], TABLES)


def test_no_lake_is_left_out(shared_data: Path) -> None:
    found = {path.name for path in (shared_data / "oracle/horizon-history").iterdir() if path.is_dir()}
    assert found == set(LAKES)


@pytest.mark.parametrize("name", LAKES)
def test_all_columns_equal_horizons(name: str, shared_data: Path) -> None:
    ours = history_of(shared_data, name)
    for table, key in KEYS.items():
        path = shared_data / "oracle/horizon-history" / name / f"{table}.csv.zst"
        if not path.exists():
            assert ours[table].num_rows == 0
            continue
        header, theirs = read_csv(path)
        rows = ours[table].sort_by(key)
        if name.startswith("loadtest"):
            rows = rows.slice(0, 1000)
        assert assert_columns_equal(f"{name} {table}", rows, header, theirs) == COLUMNS[table]


def test_many_ledgers_in_a_file_make_the_same_rows(shared_data: Path) -> None:
    one = history_of(shared_data, "testnet-1410048-1410303")
    many = history_of(shared_data, "testnet-1410048-1410303-b64")
    for table in TABLES:
        assert one[table].equals(many[table]), table


def load_lakes(shared_data: Path, url: str) -> None:
    engine = connect(url)
    schema.migrate(engine)
    with writing(engine) as connection:
        for name in LAKES:
            for table, rows in history_of(shared_data, name).items():
                for batch in rows.to_batches():
                    load_batch(connection, table, batch)
    engine.dispose()


def dumps(shared_data: Path) -> Iterator[tuple[str, Sequence[str], list[tuple[Value, ...]]]]:
    """Yields table, compared columns and rows of Horizon's dumps of all lakes."""
    rows = 0
    for path in sorted((shared_data / "oracle/horizon-history").glob("*/history_*.csv.zst")):
        table = path.name.partition(".")[0]
        if table in KEYS:
            header, theirs = read_csv(path)
            kept = [at for at, name in enumerate(header) if name not in NOT_COMPARED]
            yield table, [header[at] for at in kept], [tuple(row[at] for at in kept) for row in theirs]
            rows += len(theirs)
    assert rows == 310 + 4_636 + 8_535


def query_of(table: str, names: Sequence[str], theirs: Sequence[Sequence[Value]]) -> str:
    """Returns the query for the rows of ours between the first and the last of theirs."""
    key = KEYS[table]
    at = names.index(key)
    ids = sorted(int(row[at] or 0) for row in theirs)
    return f"SELECT {', '.join(names)} FROM {table} WHERE {key} BETWEEN {ids[0]} AND {ids[-1]} ORDER BY {key}"


@pytest.mark.postgres
def test_postgresql_prints_what_it_prints_of_horizons_tables(shared_data: Path, postgres_url: str) -> None:
    load_lakes(shared_data, postgres_url)
    with psycopg.connect(postgres_url) as database:
        for table, names, theirs in dumps(shared_data):
            query = f"COPY ({query_of(table, names, theirs)}) TO STDOUT CSV HEADER"
            with database.cursor().copy(query) as copy:
                assert parse_csv(b"".join(copy).decode()) == (tuple(names), theirs), table


def test_sqlite_holds_the_same_values(shared_data: Path, tmp_path: Path) -> None:
    load_lakes(shared_data, f"sqlite:///{tmp_path}/history.db")
    with closing(sqlite3.connect(tmp_path / "history.db")) as database:
        for table, names, theirs in dumps(shared_data):
            rows = database.execute(query_of(table, names, theirs)).fetchall()
            found = [tuple(map(_of_sqlite, names, row)) for row in rows]
            assert found == theirs, table


def _of_sqlite(name: str, value: Any) -> Value:
    """Returns a value as PostgreSQL prints it: booleans are 0 and 1, arrays JSON."""
    if value is not None and name in FLAGS:
        return "t" if value else "f"
    if value is not None and name in ARRAYS:
        return array_text(json.loads(value))
    return None if value is None else str(value)


def test_a_difference_is_named(shared_data: Path) -> None:
    header, theirs = read_csv(shared_data / "oracle/horizon-history/testnet-997-999/history_operations.csv.zst")
    ours = history_of(shared_data, "testnet-997-999")["history_operations"]
    at = header.index("source_account")
    wrong = [(*theirs[0][:at], "G", *theirs[0][at + 1 :]), *theirs[1:]]
    with pytest.raises(AssertionError, match="source_account: 1 of 31 differ: row 0: 'G"):
        assert_columns_equal("x", ours, header, wrong)
    with pytest.raises(AssertionError, match="31 rows, expected 30"):
        assert_columns_equal("x", ours, header, theirs[:-1])
