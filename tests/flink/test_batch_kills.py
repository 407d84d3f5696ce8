"""Batches on a real cluster, of which a task manager or a Python worker is killed in the middle: nothing changes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from make_archive import WrittenArchive

from aurora_ingest.db.history_tables import HISTORY_TABLES
from aurora_ingest.runners.flink import cluster as flink
from aurora_ingest.runners.flink.cluster import Cluster
from aurora_ingest.runners.flink.rest import FlinkRest
from flink_batches import Left, build, carried_out, environment, kill_workers, left, on_flink, reingest_command

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.shared_data]

_LAST = 1_410_175
_CHUNK = 4
_LEDGERS = 128


@pytest.fixture(scope="module")
def undisturbed(history_lake: Path, new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Left:
    """What the whole lake leaves, reingested in one process."""
    folder, url = tmp_path_factory.mktemp("undisturbed"), new_database()
    done = carried_out(_reingest(history_lake, folder, url, "--workers", "2"))
    assert done.returncode == 0, done.stderr
    return left(folder, url, HISTORY_TABLES)


def _reingest(lake: Path, folder: Path, url: str, *words: str) -> list[str]:
    return reingest_command(lake, folder, "--db-url", url, *words, last=_LAST, chunk=_CHUNK)


@pytest.fixture
def whole_cluster(flink_cluster: Cluster, wait_for: Callable[..., None]) -> Iterator[Cluster]:
    """The cluster; a task manager that was killed is started again afterwards."""
    cluster = flink.running(flink_cluster.folder)
    yield cluster
    for process in cluster.processes:
        if not process.alive:
            cluster = cluster.restart(process.name)
    wait_for("task managers", lambda: cluster.rest.task_managers() >= len(cluster.task_managers))


@contextmanager
def _held(url: str, table: LiteralString) -> Iterator[None]:
    """Keeps a table from being written while the block runs: the work of a batch is then in the middle."""
    with psycopg.connect(url) as connection:
        connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield


def _waiting(url: str) -> int:
    """Returns how many sessions wait for a lock of the database."""
    waiting: LiteralString = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return _count(url, f"SELECT count(*) {waiting}")


def _count(url: str, query: LiteralString) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return 0 if row is None else int(row[0])


def _ledgers(url: str) -> int:
    return _count(url, "SELECT count(DISTINCT sequence) FROM history_ledgers")


def _units(url: str) -> int:
    return _count(url, "SELECT count(*) FROM ingest_build_receipts")


def _failure_of_newest(rest: FlinkRest) -> str | None:
    """Returns why the newest job was begun again, or nothing if it was not."""
    newest = max(rest.jobs(), key=lambda job: int(job["start-time"]))["jid"]
    told: str | None = rest.get(f"/jobs/{newest}/exceptions")["root-exception"]
    return told


@pytest.mark.parametrize("victim", ["task-manager", "worker"])
def test_a_reingest_survives_the_end_of(
    victim: str,
    whole_cluster: Cluster,
    history_lake: Path,
    undisturbed: Left,
    new_database: Callable[[], str],
    wait_for: Callable[..., None],
    tmp_path: Path,
) -> None:
    url = new_database()
    flink = ["--engine", "flink", "--flink-dir", str(whole_cluster.folder), "--parallelism", "2"]
    words = _reingest(history_lake, tmp_path / "out", url, *flink)
    with (tmp_path / "said").open("w+") as said:
        job = subprocess.Popen(words, env=environment(), stdout=said, stderr=subprocess.STDOUT)
        try:
            wait_for("the first chunks", lambda: _ledgers(url) > 0 or job.poll() is not None, 300)
            with _held(url, "history_operations"):
                wait_for("two chunks under way", lambda: _waiting(url) > 1 or job.poll() is not None, 120)
                assert job.poll() is None, (tmp_path / "said").read_text()
                done = _ledgers(url)
                assert 0 < done < _LEDGERS
                _kill(victim, whole_cluster)
            assert job.wait(400) == 0, (tmp_path / "said").read_text()
        finally:
            job.kill()
            job.wait()
    assert _failure_of_newest(whole_cluster.rest)
    assert left(tmp_path / "out", url, HISTORY_TABLES) == undisturbed


@pytest.mark.parametrize("victim", ["task-manager", "worker"])
def test_a_state_build_survives_the_end_of(
    victim: str,
    whole_cluster: Cluster,
    small_archive: WrittenArchive,
    expected_state: Left,
    new_database: Callable[[], str],
    wait_for: Callable[..., None],
    tmp_path: Path,
) -> None:
    url = new_database()
    engine = on_flink(whole_cluster, 2)
    with ThreadPoolExecutor(1) as thread:
        job = thread.submit(build, small_archive, engine, tmp_path, url)
        wait_for("the first units", lambda: _units(url) > 0 or job.done(), 300)
        with _held(url, "ingest_build_receipts"):
            wait_for("units under way", lambda: _waiting(url) > 0 or job.done(), 120)
            assert not job.done(), job.result()
            _kill(victim, whole_cluster)
        assert job.result(400) == expected_state
    assert _failure_of_newest(whole_cluster.rest)


def _kill(victim: str, cluster: Cluster) -> None:
    if victim == "worker":
        assert kill_workers(cluster) > 0  # all of them: one may have done its part already
    else:
        os.kill(cluster.task_managers[0].pid, signal.SIGKILL)
