"""State builds into PostgreSQL that are killed at named points and at random moments, while readers look on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

import aurora_ingest
from aurora_ingest.db import schema, status
from aurora_ingest.db.engine import connect
from aurora_ingest.db.tables import METADATA, STATE_TABLES

_DRIVER = Path(__file__).with_name("kill_driver.py")
_ARCHIVE = Path(__file__).parents[1] / "data" / "standalone-accel"
_OLD, _NEW = 47, 95
_TABLES = list(STATE_TABLES)

Seen = tuple[str | None, ...]


def _command(url: str, work: Path, checkpoint: int, point: str, resume: bool) -> list[str]:
    words = [str(_ARCHIVE), str(checkpoint), "8", url, str(work), point, "resume" if resume else "new"]
    return [sys.executable, str(_DRIVER), *words]


def _run(url: str, work: Path, checkpoint: int, point: str = "never", *, resume: bool = False) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(aurora_ingest.__file__).parents[1])}
    command = _command(url, work, checkpoint, point, resume)
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr[-2000:]
    return done.returncode, done.stdout


def _look(connection: psycopg.Connection) -> Seen:
    """The cursor and a fingerprint of every table, read in one moment as house rules ask of readers of many tables."""
    with connection.transaction():
        return _inside(connection)


def _inside(connection: psycopg.Connection) -> Seen:
    """What a transaction that is open sees; the tables are locked against a swap from its first statement on."""
    connection.execute(f"LOCK TABLE {', '.join(_TABLES)} IN ACCESS SHARE MODE")  # type: ignore[arg-type]
    ledger = connection.execute("SELECT value FROM key_value_store WHERE key = 'exp_ingest_last_ledger'").fetchone()
    prints: list[str | None] = [None if ledger is None else ledger[0]]
    for table in _TABLES:
        query = f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        prints.append(row[0])
    return tuple(prints)


def _state(url: str) -> Seen:
    with psycopg.connect(url, autocommit=True) as connection:
        return _look(connection)


@contextmanager
def _readers(url: str, seen: set[Seen]) -> Iterator[None]:
    stop = threading.Event()

    def look_on() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not stop.is_set():
                seen.add(_look(connection))
                time.sleep(0.02)

    threads = [threading.Thread(target=look_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def reference(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Seen, Seen]]:
    """The old state and the new one, built without any trouble."""
    name = f"kill_reference_{os.getpid()}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        url = f"{postgres_server}/{name}"
        engine = connect(url)
        schema.migrate(engine)
        engine.dispose()
        states = []
        for checkpoint in (_OLD, _NEW):
            assert _run(url, tmp_path_factory.mktemp("work"), checkpoint)[0] == 0
            states.append(_state(url))
        yield states[0], states[1]
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def _with_old_state(url: str, tmp_path: Path) -> None:
    engine = connect(url)
    schema.migrate(engine)
    engine.dispose()
    assert _run(url, tmp_path / "old", _OLD)[0] == 0


def _assert_nothing_is_left(url: str) -> None:
    engine = connect(url)
    assert status.read_status(engine).unfinished == ()
    engine.dispose()
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert {name for (name,) in rows} == {*METADATA.tables, schema.VERSION_TABLE}


def _finished_before(output: str) -> int:
    line = next(line for line in output.splitlines() if line.startswith("finished before: "))
    return int(line.removeprefix("finished before: "))


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize(
    "point,least_finished",
    [("mid-copy", 1), ("after-receipt", 3), ("before-publish", 4), ("inside-publish", 4), ("after-publish", 4)],
)
def test_a_killed_build_is_finished_by_the_next_one(
    point: str, least_finished: int, postgres_url: str, reference: tuple[Seen, Seen], tmp_path: Path
) -> None:
    old, new = reference
    _with_old_state(postgres_url, tmp_path)
    seen: set[Seen] = set()
    with _readers(postgres_url, seen):
        code, output = _run(postgres_url, tmp_path / "work", _NEW, point)
        assert code == -signal.SIGKILL
        assert "killed here" in output
        assert _state(postgres_url) == (new if point == "after-publish" else old)
        code, output = _run(postgres_url, tmp_path / "work", _NEW, resume=True)
        assert code == 0
        assert _finished_before(output) >= least_finished
    assert _state(postgres_url) == new
    assert seen <= {old, new}
    _assert_nothing_is_left(postgres_url)


@pytest.mark.postgres
@pytest.mark.slow
def test_killing_at_random_moments_never_shows(postgres_url: str, reference: tuple[Seen, Seen], tmp_path: Path) -> None:
    old, new = reference
    _with_old_state(postgres_url, tmp_path)
    rng = random.Random(8)
    environment = {**os.environ, "PYTHONPATH": str(Path(aurora_ingest.__file__).parents[1])}
    seen: set[Seen] = set()
    killed = 0
    with _readers(postgres_url, seen):
        for turn in range(10):
            checkpoint = _NEW if turn % 2 == 0 else _OLD
            # The first try of a turn is cut off, the second one finishes; the next turn builds the other state.
            command = _command(postgres_url, tmp_path / f"work-{turn}", checkpoint, "never", resume=False)
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(rng.uniform(0.0, 0.8))
                process.kill()
            killed += process.returncode == -signal.SIGKILL
            assert _run(postgres_url, tmp_path / f"work-{turn}", checkpoint, resume=True)[0] == 0
            assert _state(postgres_url) == (new if checkpoint == _NEW else old)
    assert killed >= 7
    assert seen <= {old, new}
    _assert_nothing_is_left(postgres_url)


_LONG_SECONDS = 61.0
"""How long the long reader stays: more than a minute, far beyond any one attempt of a publish."""


@pytest.mark.postgres
@pytest.mark.slow
def test_a_reader_of_more_than_a_minute_and_fifty_short_ones_see_whole_states(
    postgres_url: str, reference: tuple[Seen, Seen], tmp_path: Path
) -> None:
    old, new = reference
    _with_old_state(postgres_url, tmp_path)
    with psycopg.connect(postgres_url) as long:
        long.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        began = time.monotonic()
        first = _inside(long)
        assert _run(postgres_url, tmp_path / "work", _NEW, "before-publish")[0] == -signal.SIGKILL
        environment = {**os.environ, "PYTHONPATH": str(Path(aurora_ingest.__file__).parents[1])}
        command = _command(postgres_url, tmp_path / "work", _NEW, "never", resume=True)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as publishing:
            short: list[Seen] = []
            while len(short) < 50 or time.monotonic() - began < _LONG_SECONDS:
                short.append(_state(postgres_url))
                time.sleep(0.5)
            # The swap waits for whoever holds the tables, and lets everybody else pass meanwhile.
            assert set(short) == {old}
            assert _inside(long) == first == old
            long.rollback()
            assert publishing.wait(120) == 0
    assert _state(postgres_url) == new
