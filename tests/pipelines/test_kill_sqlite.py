"""State builds into SQLite that are killed at named points and at random moments, while readers look on."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import aurora_ingest
from aurora_ingest.db import schema, status
from aurora_ingest.db.engine import connect
from aurora_ingest.db.tables import STATE_TABLES

_DRIVER = Path(__file__).with_name("kill_driver.py")
_ARCHIVE = Path(__file__).parents[1] / "data" / "standalone-accel"
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(aurora_ingest.__file__).parents[1])}
_OLD, _NEW = 47, 95

Seen = tuple[str | None, ...]


def _command(file: Path, work: Path, checkpoint: int, point: str = "never", *, resume: bool = False) -> list[str]:
    words = [str(_ARCHIVE), str(checkpoint), "8", f"sqlite:///{file}", str(work), point, "resume" if resume else "new"]
    return [sys.executable, str(_DRIVER), *words]


def _run(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=_ENVIRONMENT, timeout=120)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr[-2000:]
    return done.returncode, done.stdout


def _look(connection: sqlite3.Connection) -> Seen:
    """The cursor and a fingerprint of every table, read in one transaction."""
    connection.execute("BEGIN")
    query = "SELECT value FROM key_value_store WHERE key = 'exp_ingest_last_ledger'"
    ledger = connection.execute(query).fetchone()
    prints: list[str | None] = [None if ledger is None else ledger[0]]
    for table in STATE_TABLES:
        rows = sorted(map(repr, connection.execute(f"SELECT * FROM {table}")))
        prints.append(hashlib.md5("|".join(rows).encode(), usedforsecurity=False).hexdigest())
    connection.execute("COMMIT")
    return tuple(prints)


def _state(file: Path) -> Seen:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        return _look(connection)


@contextmanager
def _readers(file: Path, seen: set[Seen]) -> Iterator[None]:
    stop = threading.Event()

    def look_on() -> None:
        with closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as connection:
            while not stop.is_set():
                seen.add(_look(connection))
                time.sleep(0.05)

    threads = [threading.Thread(target=look_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _empty(file: Path) -> Path:
    engine = connect(f"sqlite:///{file}")
    schema.migrate(engine)
    engine.dispose()
    return file


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seen, Seen, bytes]:
    """The old state and the new one, built without any trouble, and the file that holds the old one."""
    folder = tmp_path_factory.mktemp("reference")
    file = _empty(folder / "state.db")
    assert _run(_command(file, folder / "old", _OLD))[0] == 0
    old, kept = _state(file), file.read_bytes()
    assert not file.with_name("state.db-wal").exists()
    assert _run(_command(file, folder / "new", _NEW))[0] == 0
    return old, _state(file), kept


def _assert_nothing_is_left(file: Path) -> None:
    engine = connect(f"sqlite:///{file}")
    assert status.read_status(engine).unfinished == ()
    engine.dispose()
    with closing(sqlite3.connect(file)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        assert not [name for name in names if name.startswith("build_")]
        assert {str(index.name) for table in STATE_TABLES.values() for index in table.indexes} <= names
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.slow
@pytest.mark.parametrize(
    "point,least_finished",
    [("mid-insert", 0), ("after-receipt", 3), ("before-publish", 4), ("inside-publish", 4), ("after-publish", 4)],
)
def test_a_killed_build_shows_nothing_and_is_taken_up(
    point: str, least_finished: int, reference: tuple[Seen, Seen, bytes], tmp_path: Path
) -> None:
    old, new, kept = reference
    file = tmp_path / "state.db"
    file.write_bytes(kept)
    seen: set[Seen] = set()
    with _readers(file, seen):
        code, output = _run(_command(file, tmp_path / "work", _NEW, point))
        assert code == -signal.SIGKILL
        assert "killed here" in output
        assert _state(file) == (new if point == "after-publish" else old)
        code, output = _run(_command(file, tmp_path / "work", _NEW, resume=True))
        assert code == 0
        before = next(line for line in output.splitlines() if line.startswith("finished before: "))
        assert int(before.rpartition(" ")[2]) >= least_finished
    assert _state(file) == new
    assert seen <= {old, new}
    _assert_nothing_is_left(file)


@pytest.mark.slow
def test_killing_at_random_moments_never_shows(reference: tuple[Seen, Seen, bytes], tmp_path: Path) -> None:
    old, new, kept = reference
    file = tmp_path / "state.db"
    file.write_bytes(kept)
    rng = random.Random(9)
    seen: set[Seen] = set()
    killed = 0
    with _readers(file, seen):
        for turn in range(6):
            checkpoint = _NEW if turn % 2 == 0 else _OLD
            work = tmp_path / f"work-{turn}"
            command = _command(file, work, checkpoint)
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_ENVIRONMENT) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(rng.uniform(0.0, 0.8))
                process.kill()
            killed += process.returncode == -signal.SIGKILL
            assert _run(_command(file, work, checkpoint, resume=True))[0] == 0
            assert _state(file) == (new if checkpoint == _NEW else old)
    assert killed >= 4
    assert seen <= {old, new}
    _assert_nothing_is_left(file)
