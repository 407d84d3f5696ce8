"""Followers and reingests keep out of each other's way."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from aurora_ingest.db import cursor, history, live
from aurora_ingest.db.engine import writing
from aurora_ingest.db.history_books import ingest_live
from aurora_ingest.errors import DatabaseError
from aurora_ingest.ledger.ledger_range import LedgerRange
from db import histories, states


def _stand_at(engine: sa.Engine, ledger: int) -> None:
    with writing(engine) as connection:
        cursor.write(connection, cursor.LAST_LEDGER, str(ledger))


def test_beyond_the_cursor_a_follower_is_in_the_way(engine: sa.Engine) -> None:
    _stand_at(engine, 100)
    beyond, below = LedgerRange(90, 101), LedgerRange(90, 100)
    with live.following(engine), live.following(engine):
        assert live.is_announced(engine, live.FOLLOWER)
        with pytest.raises(DatabaseError, match="ledgers 90-101 go beyond the cursor, which is at ledger 100"):
            history.check(engine, beyond, histories.target())
        with pytest.raises(DatabaseError, match="a follower is running"), live.reingesting(engine, beyond):
            pass
        with pytest.raises(DatabaseError, match="a follower is running"):
            histories.write(engine, beyond)
        assert not live.is_announced(engine, live.REINGEST)
        with live.reingesting(engine, below):
            histories.write(engine, below)
    assert not live.is_announced(engine, live.FOLLOWER)
    histories.write(engine, beyond)
    assert len(histories.sequences(engine)) == 12


def test_a_follower_does_not_begin_while_history_beyond_the_cursor_is_written(engine: sa.Engine) -> None:
    with live.reingesting(engine, LedgerRange(5, 9)), live.reingesting(engine, LedgerRange(20, 29)):
        with pytest.raises(DatabaseError, match="follow again when it has ended"), live.following(engine):
            pass
        assert not live.is_announced(engine, live.FOLLOWER)
    with live.following(engine):
        assert live.is_announced(engine, live.FOLLOWER)


def test_without_a_cursor_every_ledger_is_beyond_it(engine: sa.Engine) -> None:
    with (
        live.following(engine),
        pytest.raises(DatabaseError, match="which has no ledger yet"),
        live.reingesting(engine, LedgerRange(1, 1)),
    ):
        pass


def test_a_follower_that_was_killed_is_in_nobodys_way(engine: sa.Engine, url: str) -> None:
    code = (
        "import os, signal\nfrom aurora_ingest.db import live\nfrom aurora_ingest.db.engine import connect\n"
        f"with live.following(connect({url!r})):\n"
        "    print('live', flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert "live" in done.stdout, done.stderr
    _wait_for_nobody(engine)
    histories.write(engine, LedgerRange(5, 9))


def _wait_for_nobody(engine: sa.Engine) -> None:
    """A server learns of a dead client when it next looks at the connection, which takes a moment."""
    until = time.monotonic() + 30
    while live.is_announced(engine, live.FOLLOWER):
        assert time.monotonic() < until, "still announced 30 s after its end"
        time.sleep(0.05)


def test_a_row_of_another_machine_is_believed(engine: sa.Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL knows who holds a lock")
    with writing(engine) as connection:
        for node in ("elsewhere:1:1", f"{socket.gethostname()}:999999999:1"):
            connection.execute(sa.insert(ingest_live).values(node=node, role=live.FOLLOWER, since=0.0))
    assert live.is_announced(engine, live.FOLLOWER)
    with writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM ingest_live WHERE node LIKE 'elsewhere%'")
    assert not live.is_announced(engine, live.FOLLOWER)


@pytest.mark.postgres
def test_an_announcement_that_the_server_has_ended_is_told(postgres_url: str) -> None:
    engine = states.migrated(postgres_url)
    with live.following(engine) as announced:
        announced()
        with engine.connect() as connection:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            assert connection.exec_driver_sql(ended).all() == [(True,)]
        with pytest.raises(sa.exc.DBAPIError):
            announced()
    engine.dispose()
