"""Reingests into PostgreSQL and Parquet that are killed at named points and at random moments, and run again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

import aurora_ingest
from aurora_ingest.network import TESTNET
from reingesting import files, ledgers_in, migrated, reingest, tables

_DRIVER = Path(__file__).with_name("reingest_driver.py")
_LAKE = "testnet-1410048-1410303"
_FIRST, _LAST = 1_410_048, 1_410_111
_CHUNK = 25
_POINTS = (
    "mid-copy",
    "before-commit",
    "after-commit",
    "before-the-journal",
    "after-the-journal",
    "between-files",
    "before-the-partitions-manifest",
    "after-the-partitions-manifest",
    "before-the-manifest",
)
_OLD = (_FIRST + 10, _FIRST + 40)
"""What is there before: a run of other chunks, whose rows the killed run has to replace or to keep."""

Left = tuple[dict[str, str], dict[str, str]]


def _command(lake: Path, url: str, folder: Path, point: str) -> list[str]:
    words = [str(lake), str(_FIRST), str(_LAST), str(_CHUNK), url, str(folder), point]
    return [sys.executable, str(_DRIVER), *words]


def _environment() -> dict[str, str]:
    folders = [Path(aurora_ingest.__file__).parents[1], Path(__file__).parents[1]]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}


@pytest.fixture
def lake(shared_data: Path) -> Path:
    return shared_data / "lakes" / _LAKE


@pytest.fixture(scope="module")
def expected(postgres_server: str, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    """What a run leaves that nobody disturbs: its tables and its files."""
    folder = tmp_path_factory.mktemp("expected") / "parquet"
    name = f"reingest_reference_{os.getpid()}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        url = migrated(f"{postgres_server}/{name}")
        lake = shared_data / "lakes" / _LAKE
        reingest(TESTNET, lake, (_FIRST, _LAST), db_url=url, parquet=folder, chunk_ledgers=_CHUNK)
        yield tables(url), files(folder)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def _before(lake: Path, url: str, folder: Path) -> None:
    migrated(url)
    reingest(TESTNET, lake, _OLD, db_url=url, parquet=folder, chunk_ledgers=_CHUNK)


def _assert_whole(url: str, folder: Path) -> None:
    """Each chunk is the old one or the new one; each file of a table is readable and has every ledger once."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT l.sequence, l.successful_transaction_count + l.failed_transaction_count, count(t.id) "
            "FROM history_ledgers l LEFT JOIN history_transactions t ON t.ledger_sequence = l.sequence GROUP BY 1, 2"
        ).fetchall()
        strangers = connection.execute(
            "SELECT count(*) FROM history_transactions "
            "WHERE ledger_sequence NOT IN (SELECT sequence FROM history_ledgers)"
        ).fetchone()
    assert [row for row in rows if row[1] != row[2]] == []
    assert strangers == (0,)
    there = [ledger for ledger, _, _ in rows]
    assert set(range(_OLD[0], _OLD[1] + 1)) <= set(there) <= set(range(_FIRST, _LAST + 1))
    found = ledgers_in(folder)
    assert len(found) == len(set(found))
    assert set(range(_OLD[0], _OLD[1] + 1)) <= set(found)
    for table in ("history_transactions", "history_operations", "ledger_entry_changes"):
        for path in (folder / table).glob("*/*.parquet"):
            pq.read_table(path)


def _rerun(lake: Path, url: str, folder: Path, expected: Left, *, resume: bool) -> None:
    reingest(TESTNET, lake, (_FIRST, _LAST), db_url=url, parquet=folder, chunk_ledgers=_CHUNK, resume=resume)
    assert (tables(url), files(folder)) == expected
    assert not [*(folder / ".history").rglob("*.draft"), *(folder / ".history").rglob("ready.json")]


@pytest.mark.postgres
@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.parametrize("point", _POINTS)
def test_a_killed_reingest_leaves_whole_chunks_and_is_finished_by_the_next(
    point: str, lake: Path, postgres_url: str, tmp_path: Path, expected: Left
) -> None:
    folder = tmp_path / "parquet"
    _before(lake, postgres_url, folder)
    done = subprocess.run(
        _command(lake, postgres_url, folder, point),
        check=False,
        capture_output=True,
        text=True,
        env=_environment(),
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert "killed here" in done.stdout
    _assert_whole(postgres_url, folder)
    _rerun(lake, postgres_url, folder, expected, resume=_POINTS.index(point) % 2 == 0)


@pytest.mark.postgres
@pytest.mark.shared_data
@pytest.mark.slow
def test_killing_at_random_moments_loses_and_doubles_nothing(
    lake: Path, postgres_url: str, tmp_path: Path, expected: Left
) -> None:
    folder = tmp_path / "parquet"
    _before(lake, postgres_url, folder)
    rng = random.Random(4)
    killed = 0
    for _ in range(8):
        command = _command(lake, postgres_url, folder, "never")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment()) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0.1, 1.2))
            process.kill()
        killed += process.returncode == -signal.SIGKILL
        _assert_whole(postgres_url, folder)
    assert killed >= 4
    _rerun(lake, postgres_url, folder, expected, resume=True)
