from __future__ import annotations

import contextlib
import dataclasses
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

import closed_network
from aurora_ingest.db import cursor, lead
from aurora_ingest.db.engine import connect, writing
from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.db.lead import CommitResult, Committer, Outcome, PreparedLedger
from aurora_ingest.db.lead_books import ingest_commits
from aurora_ingest.errors import (
    DatabaseError,
    HashMismatchError,
    MigrationError,
    NetworkMismatchError,
    RowRejectedError,
    StateError,
)
from aurora_ingest.transforms.processors import HISTORY_TABLES, TABLES

LEDGERS = closed_network.prepared()


def _node(engine: sa.Engine, name: str = "one", deadline: float = 30.0) -> Committer:
    passphrase = closed_network.NETWORK.passphrase
    return Committer(engine, node=name, network_passphrase=passphrase, deadline_seconds=deadline)


def _group(first: int, last: int) -> list[PreparedLedger]:
    return [LEDGERS[sequence] for sequence in range(first, last + 1)]


def _commit_all(node: Committer, first: int, last: int) -> None:
    """Commits ledgers in as many transactions as the time under the lock asks for."""
    while first <= last:
        result = node.commit(_group(first, last))
        assert result.outcome is Outcome.LED
        first = result.committed[-1] + 1


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    opened = closed_network.state_at(url)
    yield opened
    opened.dispose()


def _cursor(engine: sa.Engine) -> tuple[int | None, str | None]:
    with engine.connect() as connection:
        return cursor.read_last_ledger(connection), cursor.read_last_hash(connection)


def test_ledgers_lead_from_one_checkpoint_to_the_next(engine: sa.Engine, tmp_path: Path) -> None:
    node = _node(engine)
    sizes = (1, 1, 9, 21)
    first = 64
    for size in sizes:
        last = first + size - 1
        _commit_all(node, first, last)
        assert _cursor(engine) == (last, LEDGERS[last].ledger_hash)
        first = last + 1
    built = closed_network.state_at(f"sqlite:///{tmp_path}/built.db", 95)
    if engine.dialect.name == "sqlite":
        assert closed_network.rows(engine, TABLES) == closed_network.rows(built, TABLES)
    counts = {table: len(found) for table, found in closed_network.rows(engine, TABLES).items()}
    assert counts == {table: len(found) for table, found in closed_network.rows(built, TABLES).items()}
    built.dispose()
    history = closed_network.rows(engine, HISTORY_TABLES)
    assert [row[0] for row in history["history_ledgers"]] == list(range(64, 96))
    assert closed_network.commits(engine) == [(ledger, "one") for ledger in range(64, 96)]
    with engine.connect() as connection:
        (lost,) = connection.execute(
            sa.select(sa.func.count()).where(
                ingest_ledger_counts.c.rows_in != ingest_ledger_counts.c.rows_out + ingest_ledger_counts.c.quarantined
            )
        ).one()
    assert lost == 0


def test_the_second_of_two_follows(engine: sa.Engine) -> None:
    one, two = _node(engine), _node(engine, "two")
    _commit_all(one, 64, 70)
    assert two.commit(_group(64, 70)) == CommitResult(Outcome.FOLLOWED, 70)
    assert two.commit(_group(68, 72)).committed == (71, 72)
    assert one.commit(_group(74, 75)) == CommitResult(Outcome.WAITS, 72)
    assert [node for _, node in closed_network.commits(engine)] == ["one"] * 7 + ["two"] * 2


def test_a_node_of_another_chain_does_not_follow(engine: sa.Engine) -> None:
    _commit_all(_node(engine), 64, 66)
    other = dataclasses.replace(LEDGERS[66], ledger_hash="cd" * 32)
    with pytest.raises(HashMismatchError, match=r"ledger 66 has hash cdcd.*, the database has"):
        _node(engine, "two").commit([LEDGERS[65], other])


@pytest.mark.parametrize("statements", range(1, 7))
def test_a_ledger_committed_while_a_follower_looks_is_no_other_chain(
    engine: sa.Engine, url: str, statements: int
) -> None:
    leader = connect(url)
    _commit_all(_node(leader, "two"), 64, 66)
    done = itertools.count(1)

    @sa.event.listens_for(engine, "after_cursor_execute")
    def commit_another(*_: object) -> None:
        if next(done) == statements:
            _commit_all(_node(leader, "two"), 67, 67)

    assert _node(engine).commit(_group(65, 66)).outcome is Outcome.FOLLOWED
    assert next(done) > 3
    sa.event.remove(engine, "after_cursor_execute", commit_another)
    leader.dispose()


def test_a_row_that_is_refused_is_not_tried_for_ever(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        connection.execute(sa.insert(ingest_commits).values(ledger=65, node="x", committed_at=0.0))
    assert _node(engine).commit(_group(64, 65)).committed == (64,)
    with pytest.raises((RowRejectedError, DatabaseError), match="ledger 65"):
        _node(engine).commit(_group(65, 65))


def test_groups_of_any_size_give_the_same_rows(engine: sa.Engine, tmp_path: Path) -> None:
    other = closed_network.state_at(f"sqlite:///{tmp_path}/other.db")
    _commit_all(_node(engine), 64, 100)
    for sequence in range(64, 101):
        _node(other).commit(_group(sequence, sequence))
    if engine.dialect.name == "sqlite":
        assert closed_network.rows(engine) == closed_network.rows(other)
    assert {table: len(rows) for table, rows in closed_network.rows(engine).items()} == {
        table: len(rows) for table, rows in closed_network.rows(other).items()
    }
    other.dispose()


def test_only_the_culprit_of_a_group_stops(engine: sa.Engine) -> None:
    group = _group(64, 70)
    group[4] = dataclasses.replace(group[4], previous_ledger_hash="ab" * 32)
    node = _node(engine)
    first = 64
    while first < 68:
        # What came before the culprit is told, whether it went together or one by one.
        result = node.commit(group[first - 64 :])
        assert result.outcome is Outcome.LED
        assert result.committed[0] == first
        first = result.committed[-1] + 1
    with pytest.raises(HashMismatchError, match=r"ledger 68 names abab.* as the hash of ledger 67, the database has"):
        node.commit(group[4:])
    assert _cursor(engine) == (67, LEDGERS[67].ledger_hash)
    _commit_all(_node(engine), 68, 70)


def test_a_ledger_that_contradicts_the_state_changes_nothing(engine: sa.Engine) -> None:
    before = closed_network.rows(engine)
    stats = next(each for each in LEDGERS.values() if each.state.asset_stats and each.state.asset_stats.num_rows)
    taken = stats.state.asset_stats
    assert taken is not None
    negative = '{"authorized": -9000000, "unauthorized": 0, "liquidity_pools": 0, "claimable_balances": 0, '
    negative += '"authorized_to_maintain_liabilities": 0}'
    place = taken.schema.get_field_index("accounts")
    wrong = taken.set_column(place, taken.schema.field(place), pa.array([negative] * len(taken), pa.string()))
    bad = dataclasses.replace(LEDGERS[64], state=dataclasses.replace(LEDGERS[64].state, asset_stats=wrong))
    with pytest.raises(StateError, match="ledger 64: fewer than no holders"):
        _node(engine).commit([bad])
    assert _cursor(engine)[0] == 63
    assert closed_network.rows(engine) == before


def test_another_network_a_newer_version_and_no_state_stop_the_node(engine: sa.Engine, url: str) -> None:
    stranger = Committer(engine, node="x", network_passphrase="another network")
    with pytest.raises(NetworkMismatchError, match="another network"):
        stranger.commit(_group(64, 64))
    with writing(engine) as connection:
        cursor.write(connection, cursor.VERSION, str(cursor.CURRENT_VERSION + 1))
    with pytest.raises(MigrationError, match="install a newer aurora-ingest"):
        _node(engine).commit(_group(64, 64))
    with writing(engine) as connection:
        cursor.write(connection, cursor.VERSION, str(cursor.CURRENT_VERSION))
        cursor.write(connection, cursor.LAST_LEDGER, "0")
    with pytest.raises(DatabaseError, match="no state to apply ledgers to"):
        _node(engine).commit(_group(64, 64))


def test_a_cursor_that_moved_back_is_gone_over_again(engine: sa.Engine) -> None:
    node = _node(engine)
    _commit_all(node, 64, 70)
    history = closed_network.rows(engine, HISTORY_TABLES)
    again = closed_network.CHECKPOINT
    engine_url = engine.url.render_as_string(hide_password=False)
    # A restored backup: the state of the checkpoint again, beside history that is further on.
    command = ["build-state", "--network", "standalone", "--checkpoint-frequency", "8", "--checkpoint", str(again)]
    command += ["--history-archive-url", str(closed_network.ARCHIVE), "--db-url", engine_url, "--log-level", "warning"]
    assert closed_network.cli.run(command) == 0
    assert node.commit(_group(71, 72)) == CommitResult(Outcome.WAITS, again)
    _commit_all(node, 64, 70)
    assert closed_network.rows(engine, HISTORY_TABLES) == history
    assert [ledger for ledger, _ in closed_network.commits(engine)] == list(range(64, 71))


@contextlib.contextmanager
def _held_cursor(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.connect() as connection, connection.begin():
        cursor.read_last_ledger(connection, lock=True)
        yield connection
        with contextlib.suppress(sa.exc.DBAPIError):
            connection.rollback()


@pytest.mark.postgres
def test_a_locked_cursor_decides_nothing(postgres_url: str) -> None:
    engine = closed_network.state_at(postgres_url)
    with _held_cursor(engine):
        began = time.monotonic()
        result = _node(engine).commit(_group(64, 66))
        assert time.monotonic() - began < 2
        assert result == CommitResult(Outcome.REFUSED, None)
    _commit_all(_node(engine), 64, 66)
    engine.dispose()


@pytest.mark.postgres
def test_a_holder_past_its_deadline_is_ended(postgres_url: str, caplog: pytest.LogCaptureFixture) -> None:
    engine = closed_network.state_at(postgres_url)
    with _held_cursor(engine) as held:
        (pid,) = held.exec_driver_sql("SELECT pg_backend_pid()").one()
        time.sleep(0.6)
        assert _node(engine, deadline=30).commit(_group(64, 64)).ended_holders == 0
        result = _node(engine, deadline=0.5).commit(_group(64, 64))
        assert (result.outcome, result.ended_holders) == (Outcome.REFUSED, 1)
        ended = [record for record in caplog.records if "held the cursor too long" in record.message]
        assert [record.__dict__["pid"] for record in ended] == [pid]
        for _ in range(50):
            if _node(engine).commit(_group(64, 64)).outcome is Outcome.LED:
                break
            time.sleep(0.05)
        assert _cursor(engine)[0] == 64
    engine.dispose()


@pytest.mark.postgres
def test_nodes_that_run_side_by_side_write_each_ledger_once(postgres_url: str) -> None:
    closed_network.state_at(postgres_url).dispose()
    seen: dict[str, list[int]] = {"one": [], "two": [], "three": []}
    faults: list[BaseException] = []

    def follow(name: str) -> None:
        engine = connect(postgres_url)
        node, at = _node(engine, name), 64
        try:
            while at <= 100:
                result = node.commit(_group(at, min(at + 2, 100)))
                seen[name] += result.committed
                if result.last_ledger is not None:
                    at = max(at, result.last_ledger + 1)
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            faults.append(error)
        engine.dispose()

    threads = [threading.Thread(target=follow, args=(name,)) for name in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    engine = connect(postgres_url)
    assert sorted(ledger for led in seen.values() for ledger in led) == list(range(64, 101))
    assert closed_network.commits(engine) == sorted((ledger, name) for name, led in seen.items() for ledger in led)
    engine.dispose()


_KILLED = """
import os, signal, sys
import closed_network
from aurora_ingest.db import lead
from aurora_ingest.db.engine import connect
from aurora_ingest.db.lead_books import ingest_commits
from aurora_ingest.db.lead import Committer
from aurora_ingest.db.lead_books import ingest_commits
point, url = sys.argv[1:]
def die():
    print("killed here", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
name, when = point.split(":")
original = getattr(lead, name)
def deadly(*args, **kwargs):
    if when == "before":
        die()
    result = original(*args, **kwargs)
    die()
    return result
setattr(lead, name, deadly)
ledgers = closed_network.prepared()
node = Committer(connect(url), node="killed", network_passphrase=closed_network.NETWORK.passphrase)
node.commit([ledgers[number] for number in range(64, 71)])
"""


@pytest.mark.postgres
@pytest.mark.parametrize(
    "point,left",
    [
        ("send_ledgers:after", 63),
        ("lock_cursor:after", 63),
        ("apply_state:after", 63),
        ("commit:before", 63),
        ("commit:after", 70),
    ],
)
def test_a_node_killed_at_any_point_leaves_all_of_a_group_or_nothing(postgres_url: str, point: str, left: int) -> None:
    engine = closed_network.state_at(postgres_url)
    tests = Path(closed_network.__file__).parent
    source = Path(lead.__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, point, postgres_url],
        env={"PYTHONPATH": f"{tests}:{source}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (killed.returncode, killed.stdout) == (-9, "killed here\n"), killed.stderr
    for _ in range(100):
        result = _node(engine).commit(_group(64, 72))
        if result.outcome is Outcome.LED:
            break
        time.sleep(0.05)
    assert result.committed == tuple(range(left + 1, 73))
    assert [ledger for ledger, _ in closed_network.commits(engine)] == list(range(64, 73))
    whole = [("killed" if ledger <= left else "one") for ledger in range(64, 73)]
    assert [node for _, node in closed_network.commits(engine)] == whole
    engine.dispose()
