"""Taking builds over: from processes that are stopped, not dead, and from builds that were published before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

import aurora_ingest
from aurora_ingest.db import builds, cursor
from aurora_ingest.db import engine as engines
from aurora_ingest.db.build_books import ingest_build_backends, ingest_build_heartbeats
from aurora_ingest.db.engine import connect, writing
from aurora_ingest.db.publish import prepare_publish, publish
from aurora_ingest.errors import DatabaseError, FencedError, UnfinishedBuildError
from db import states

# Writes unit 0, and stops itself inside the COPY of unit 1.
_STOPPING_BUILDER = """
import os, signal, sys
from aurora_ingest.db import builds, load
from aurora_ingest.db.engine import connect
from aurora_ingest.errors import FencedError
from db import states

engine = connect(sys.argv[1])
build = builds.open_build(engine, states.plan(63), resume=False)
states.write(engine, build, 63, 0)
copied = load._kernel.copy_rows
def stopping(*arguments):
    os.kill(os.getpid(), signal.SIGSTOP)
    return copied(*arguments)
load._kernel.copy_rows = stopping
try:
    states.write(engine, build, 63, 1)
except FencedError as error:
    print("fenced:", error, flush=True)
"""


def _stopped_builder(url: str) -> subprocess.Popen[str]:
    path = [Path(aurora_ingest.__file__).parents[1], Path(__file__).parents[1]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-c", _STOPPING_BUILDER, url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "T":
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def _locks_of_others(engine: sa.Engine) -> int:
    """How many sessions are inside a transaction that wrote something."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(query).scalar_one())


@pytest.mark.postgres
@pytest.mark.parametrize("way", ["resume", "abandon"])
def test_a_builder_stopped_inside_a_copy_is_ended(way: str, postgres: sa.Engine) -> None:
    url = postgres.url.render_as_string(hide_password=False)
    with _stopped_builder(url) as process:
        try:
            with pytest.raises(UnfinishedBuildError, match=f":{process.pid} was heard of"):
                builds.open_build(postgres, states.plan(63), resume=True)
            assert _locks_of_others(postgres) == 1
            start = time.monotonic()
            if way == "resume":
                build = builds.open_build(postgres, states.plan(63), resume=True, takeover_after=0.0)
                assert set(builds.finished(postgres, build)) == {("range", 0)}
            else:
                assert builds.abandon_build(postgres) == 1
                build = builds.open_build(postgres, states.plan(63), resume=False)
            assert time.monotonic() - start < 10
            for unit in range(states.UNITS):
                states.write(postgres, build, 63, unit)
            os.kill(process.pid, signal.SIGCONT)
            output, errors = process.communicate(timeout=30)
            assert output.startswith("fenced: build "), errors
        finally:
            process.kill()
    states.prepare_publish(postgres, build)
    states.publish(postgres, build, 63, cursor.CURRENT_VERSION)
    assert states.visible(postgres) == states.whole(63)
    with postgres.connect() as connection:
        assert connection.execute(sa.select(ingest_build_backends)).all() == []


@pytest.mark.postgres
def test_a_session_that_only_has_the_number_of_a_noted_one_lives_on(postgres: sa.Engine) -> None:
    build = builds.open_build(postgres, states.plan(63), resume=False)
    states.write(postgres, build, 63, 0)
    bystander = connect(postgres.url.render_as_string(hide_password=False))
    with bystander.connect() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with writing(postgres) as books:
            note = {"build_id": build.build_id, "pid": pid, "started": 1.0, "node": "elsewhere:1"}
            books.execute(sa.insert(ingest_build_backends).values(**note))
        builds.open_build(postgres, states.plan(63), resume=True)
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
    bystander.dispose()


def test_signs_of_life_are_told_by_the_databases_clock(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 86400.0)
    builds.open_build(engine, states.plan(63), resume=False)
    with engine.connect() as connection:
        (found,) = builds.unfinished_builds(connection)
    assert found.seconds_silent < 60
    with writing(engine) as connection:
        earlier = ingest_build_heartbeats.c.beat_at - 100
        connection.execute(sa.update(ingest_build_heartbeats).values(beat_at=earlier))
        (found,) = builds.unfinished_builds(connection)
    assert 100 <= found.seconds_silent < 160


def test_resuming_a_published_build_never_sets_a_right_state_back(engine: sa.Engine) -> None:
    states.build_and_publish(engine, 63)
    states.build_and_publish(engine, 127)
    moved = "build .* of checkpoint 63 was published and the state has moved on to ledger 127: .*leave out --resume"
    with pytest.raises(UnfinishedBuildError, match=moved):
        builds.open_build(engine, states.plan(63), resume=True)
    assert states.visible(engine) == states.whole(127)
    states.build_and_publish(engine, 63)
    assert states.visible(engine) == states.whole(63)


def test_a_wrong_state_is_made_anew_even_from_a_checkpoint_before_it(engine: sa.Engine) -> None:
    states.build_and_publish(engine, 63)
    states.build_and_publish(engine, 127)
    with writing(engine) as connection:
        cursor.write(connection, cursor.STATE_INVALID, "true")
    build = builds.open_build(engine, states.plan(63), resume=True)
    for unit in range(states.UNITS):
        states.write(engine, build, 63, unit)
    prepare_publish(engine, build)
    publish(engine, build, 63, cursor.CURRENT_VERSION)
    assert states.visible(engine) == states.whole(63)


def test_resuming_a_published_build_makes_a_wrong_state_anew(engine: sa.Engine) -> None:
    former = states.build_and_publish(engine, 63)
    with writing(engine) as connection:
        cursor.write(connection, cursor.STATE_INVALID, "true")
        connection.exec_driver_sql("DELETE FROM ttl")
    build = builds.open_build(engine, states.plan(63), resume=True)
    assert build.epoch == former.epoch + 1
    assert builds.finished(engine, build) == {}
    for unit in range(states.UNITS):
        states.write(engine, build, 63, unit)
    states.prepare_publish(engine, build)
    states.publish(engine, build, 63, cursor.CURRENT_VERSION)
    assert states.visible(engine) == states.whole(63)
    with engine.connect() as connection:
        assert not cursor.is_state_invalid(connection)
    with pytest.raises(FencedError):
        states.write(engine, former, 63, 0)


def test_a_locked_sqlite_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_SQLITE_BUSY_SECONDS", 0.2)
    engine = states.migrated(f"sqlite:///{tmp_path}/state.db")
    other = connect(f"sqlite:///{tmp_path}/state.db")
    with (
        writing(engine),
        pytest.raises(DatabaseError, match=r"state\.db has been locked by another process for 0\.2 s"),
    ):
        builds.open_build(other, states.plan(63), resume=False)
    other.dispose()
    engine.dispose()
