"""History of every lake against what Horizon made of it: all columns of ledgers, transactions and operations."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from aurora_ingest.db import schema
from aurora_ingest.db.engine import connect, writing
from aurora_ingest.db.load import load_batch
from differential.built_state import PUBNET, TESTNET
from differential.closed_ledgers import LOADTEST, history, lake
from differential.exact_csv import Value, parse_csv, read_csv
from differential.horizon_history import NOT_COMPARED, assert_columns_equal

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


@pytest.mark.postgres
def test_postgresql_prints_what_it_prints_of_horizons_tables(shared_data: Path, postgres_url: str) -> None:
    engine = connect(postgres_url)
    schema.migrate(engine)
    with writing(engine) as connection:
        for name in LAKES:
            for table, rows in history_of(shared_data, name).items():
                for batch in rows.to_batches():
                    load_batch(connection, table, batch)
    engine.dispose()
    compared = 0
    with psycopg.connect(postgres_url) as database:
        for path in sorted((shared_data / "oracle/horizon-history").glob("*/history_*.csv.zst")):
            table = path.name.partition(".")[0]
            if table in KEYS:
                header, theirs = read_csv(path)
                compared += len(theirs)
                assert printed(database, table, header, theirs) == without(NOT_COMPARED, header, theirs), path
    assert compared == 310 + 4_636 + 8_535


def printed(
    database: psycopg.Connection, table: str, header: Sequence[str], theirs: Sequence[Sequence[Value]]
) -> list[tuple[Value, ...]]:
    """Returns the rows of ours between the first and the last of theirs, as COPY prints them."""
    at = header.index(KEYS[table])
    keys = sorted(int(row[at] or 0) for row in theirs)
    names = ", ".join(name for name in header if name not in NOT_COMPARED)
    query = f"SELECT {names} FROM {table} WHERE {KEYS[table]} BETWEEN {keys[0]} AND {keys[-1]} ORDER BY {KEYS[table]}"
    with database.cursor().copy(f"COPY ({query}) TO STDOUT CSV HEADER") as copy:
        return parse_csv(b"".join(copy).decode())[1]


def without(names: set[str], header: Sequence[str], rows: Sequence[Sequence[Value]]) -> list[tuple[Value, ...]]:
    kept = [at for at, name in enumerate(header) if name not in names]
    return [tuple(row[at] for at in kept) for row in rows]


def test_a_difference_is_named(shared_data: Path) -> None:
    header, theirs = read_csv(shared_data / "oracle/horizon-history/testnet-997-999/history_operations.csv.zst")
    ours = history_of(shared_data, "testnet-997-999")["history_operations"]
    at = header.index("source_account")
    wrong = [(*theirs[0][:at], "G", *theirs[0][at + 1 :]), *theirs[1:]]
    with pytest.raises(AssertionError, match="source_account: 1 of 31 differ: row 0: 'G"):
        assert_columns_equal("x", ours, header, wrong)
    with pytest.raises(AssertionError, match="31 rows, expected 30"):
        assert_columns_equal("x", ours, header, theirs[:-1])
