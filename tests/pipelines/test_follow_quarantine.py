"""A node that follows on over what it cannot read or store: history in quarantine, a lost state built again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

import closed_network
from aurora_ingest import _kernel
from aurora_ingest.api.node_metrics import NodeMetrics
from aurora_ingest.cli import run
from aurora_ingest.db import cursor, lost_state, quarantine
from aurora_ingest.db.engine import is_postgres, writing
from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.errors import RowRejectedError, StateError
from aurora_ingest.ledger_backend.backend import BackendOptions
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.pipelines.follow import FollowPlan
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.runners import launch
from aurora_ingest.system import System, SystemOptions, SystemState
from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.processors import HISTORY_TABLES, TABLES

_BAD = 70
_NEWEST = 95
"""The archive's newest checkpoint."""


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


on_both = pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    opened = closed_network.state_at(url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('follow')}/state.db"
    opened = closed_network.state_at(url)
    _system(url, closed_network.STREAM).run()
    found = closed_network.rows(opened)
    opened.dispose()
    return found


def _system(
    url: str,
    stream: Path,
    *,
    keep_going: bool = True,
    until: int | None = 100,
    stop: threading.Event | None = None,
) -> System:
    network = closed_network.NETWORK
    source = open_backend(str(stream), network, options=BackendOptions(poll_interval=0.02))
    plan = FollowPlan(network, source, url, "one", HISTORY_TABLES, until=until, keep_going=keep_going)
    archives = (str(closed_network.ARCHIVE),)
    build = BuildStateOptions(network=network, archive_urls=archives, db_url=url, work_dir=f"{stream.parent}/work")
    if stream == closed_network.STREAM:
        build = replace(build, work_dir=None)
    return System(SystemOptions(plan, archives, build, 0.02, 1.0), launch.choose_engine([]), stop)


def _stream(folder: Path, ledger: int, data: bytes) -> Path:
    path = folder / "spoilt.xdr"
    ledgers = {**closed_network.ledgers(), ledger: data}
    path.write_bytes(b"".join((len(each) | 0x8000_0000).to_bytes(4, "big") + each for each in ledgers.values()))
    return path


def _spoilt(ledger: int, *, changes: bool) -> tuple[bytes, int]:
    """A ledger with a wrong value inside a transaction, in its changes or elsewhere, and the transaction's place."""
    whole = closed_network.ledgers()[ledger]
    for place in range(3, len(whole), 4):
        data = whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :]
        decoder = _kernel.LedgerDecoder(network_id=closed_network.NETWORK.network_id)
        try:
            decoder.push(data, tolerant=True)
        except ValueError:
            continue
        refused = decoder.take_refused()
        if [each[2] for each in refused] == [changes]:
            return data, refused[0][1]
    raise AssertionError("no such value")


def _facts(engine: sa.Engine) -> tuple[int | None, bool, int | None]:
    with engine.connect() as connection:
        last, lost = cursor.read_last_ledger(connection), lost_state.lost_at(connection)
        return last, cursor.is_state_invalid(connection), lost


def _held(engine: sa.Engine) -> list[quarantine.Quarantined]:
    with engine.connect() as connection:
        return list(quarantine.held(connection))


def _counts(engine: sa.Engine, ledger: int) -> dict[str, tuple[int, int, int]]:
    counts = ingest_ledger_counts.c
    query = sa.select(counts.table_name, counts.rows_in, counts.rows_out, counts.quarantined)
    with engine.connect() as connection:
        found = connection.execute(query.where(counts.ledger_sequence == ledger))
        return {row[0]: (row[1], row[2], row[3]) for row in found}


def _until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_transaction_that_does_not_decode_leaves_the_state_right_if_its_changes_do(
    url: str, engine: sa.Engine, tmp_path: Path, undisturbed: dict[str, list[tuple[object, ...]]]
) -> None:
    data, order = _spoilt(_BAD, changes=False)
    stream = _stream(tmp_path, _BAD, data)
    with pytest.raises(StateError, match=f"ledger {_BAD} does not decode"):
        _system(url, stream, keep_going=False).run()
    assert _facts(engine) == (_BAD - 1, False, None)
    figures = NodeMetrics(24, lambda: None)
    with metrics.subscribe(figures):
        _system(url, stream).run()
    assert _facts(engine) == (100, False, None)
    held = _held(engine)
    assert {(each.ledger, each.kind, each.position, each.raw) for each in held} == {
        (_BAD, quarantine.TRANSACTION, order, data)
    }
    assert {each.table for each in held} == {"history_transactions", "history_operations", "history_contract_events"}
    assert closed_network.rows(engine, TABLES) == {table: undisturbed[table] for table in TABLES}
    changes = "ledger_entry_changes"
    assert closed_network.rows(engine, [changes])[changes] == undisturbed[changes]
    for table, (came, out, kept) in _counts(engine, _BAD).items():
        assert (came, kept) == (out + kept, int(table in {each.table for each in held}))
    assert figures.registry.get_sample_value("aurora_ingest_quarantined_total") == len(held)


def test_changes_that_do_not_decode_have_the_state_built_again(
    url: str, engine: sa.Engine, tmp_path: Path, undisturbed: dict[str, list[tuple[object, ...]]]
) -> None:
    data, order = _spoilt(_BAD, changes=True)
    system = _system(url, _stream(tmp_path, _BAD, data))
    system.run()
    assert system.counts.transitions[SystemState.BUILD] == 1
    assert _facts(engine) == (100, False, _BAD)
    assert {(each.ledger, each.kind, each.position) for each in _held(engine)} == {
        (_BAD, quarantine.TRANSACTION, order)
    }
    assert len(_held(engine)) == 4
    assert closed_network.rows(engine, TABLES) == {table: undisturbed[table] for table in TABLES}
    assert [ledger for ledger, _ in closed_network.commits(engine)] == [*range(64, _BAD + 1), *range(_NEWEST + 1, 101)]


def test_a_ledger_that_does_not_decode_is_passed_by_a_checkpoint_behind_it(
    url: str,
    engine: sa.Engine,
    tmp_path: Path,
    undisturbed: dict[str, list[tuple[object, ...]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = closed_network.ledgers()[_BAD]
    stream = _stream(tmp_path, _BAD, whole[:-4])
    _system(url, stream).run()
    assert _facts(engine) == (100, False, _BAD)
    assert {(each.ledger, each.table, each.kind, each.raw) for each in _held(engine)} == {
        (_BAD, table, quarantine.LEDGER, whole[:-4]) for table in HISTORY_TABLES
    }
    assert closed_network.rows(engine, TABLES) == {table: undisturbed[table] for table in TABLES}
    ours = ("--network", "standalone", "--db-url", url)
    gaps = ("fill-gaps", *ours, "--ledgers", str(stream), "--on-bad-record", "quarantine", "--order-book-depth", "0")
    assert run([*gaps, "--workers", "2", "--", "--direct_num_workers=1"]) == 0
    assert "1 gap of 25 ledgers filled" in capsys.readouterr().out
    assert run(["redrive", *ours, "--ledgers", str(closed_network.STREAM)]) == 0
    assert _held(engine) == []
    assert closed_network.rows(engine, HISTORY_TABLES) == {table: undisturbed[table] for table in HISTORY_TABLES}


def _refuse(engine: sa.Engine, table: str, condition: str) -> None:
    with writing(engine) as connection:
        if is_postgres(connection):
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT picky CHECK (NOT ({condition})) NOT VALID")
            return
        new = condition.replace("column:", "NEW.")
        connection.exec_driver_sql(
            f"CREATE TRIGGER picky BEFORE INSERT ON {table} WHEN {new} BEGIN SELECT RAISE(ABORT, 'picky'); END"
        )


@on_both
def test_a_row_of_history_that_the_database_refuses(
    url: str, engine: sa.Engine, undisturbed: dict[str, list[tuple[object, ...]]]
) -> None:
    bad = [row[0] for row in undisturbed["history_operations"]][40]
    assert isinstance(bad, int)
    ledger = bad >> 32
    _refuse(engine, "history_operations", f"id = {bad}" if is_postgres(engine) else f"NEW.id = {bad}")
    with pytest.raises(RowRejectedError, match=f"ledger {ledger}: the database refused it: .*picky"):
        _system(url, closed_network.STREAM, keep_going=False).run()
    assert _facts(engine) == (ledger - 1, False, None)
    _system(url, closed_network.STREAM).run()
    assert _facts(engine) == (100, False, None)
    (held,) = _held(engine)
    assert (held.ledger, held.table, held.kind) == (ledger, "history_operations", quarantine.ROW)
    assert quarantine.row_of(held)["id"][0].as_py() == bad
    came, out, kept = _counts(engine, ledger)["history_operations"]
    assert (out, kept) == (came - 1, 1)
    with writing(engine) as connection:
        sqlite, postgres = "DROP TRIGGER picky", "ALTER TABLE history_operations DROP CONSTRAINT picky"
        connection.exec_driver_sql(postgres if is_postgres(connection) else sqlite)
    assert run(["redrive", "--network", "standalone", "--db-url", url]) == 0
    operations = "history_operations"
    assert closed_network.rows(engine, [operations])[operations] == undisturbed[operations]
    assert (_held(engine), _counts(engine, ledger)["history_operations"]) == ([], (came, came, 0))


@on_both
def test_a_row_of_the_state_that_the_database_refuses_waits_for_a_checkpoint_behind_it(
    url: str, engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    changed = closed_network.prepared()[98].state.tables["accounts"].upserts
    account = changed.column("account_id")[0].as_py()
    balance = changed.column("balance")[0].as_py()
    row = f"account_id = '{account}' AND balance = {balance}"
    of_new = f"NEW.account_id = '{account}' AND NEW.balance = {balance}"
    _refuse(engine, "accounts", row if is_postgres(engine) else of_new)
    stop = threading.Event()
    system = _system(url, closed_network.STREAM, until=None, stop=stop)
    caplog.set_level("INFO", "aurora_ingest")
    runner = threading.Thread(target=system.run)
    runner.start()
    _until(lambda: system.counts.transitions[SystemState.WAIT_FOR_CHECKPOINT] > 1)
    stop.set()
    runner.join(60)
    assert not runner.is_alive()
    assert _facts(engine) == (98, True, 98)
    (held,) = _held(engine)
    assert (held.ledger, held.table, held.kind, held.position) == (98, "accounts", quarantine.ROW, 0)
    with engine.connect() as connection:
        query = sa.text("SELECT balance FROM accounts WHERE account_id = :account")
        assert connection.execute(query, {"account": account}).scalar_one_or_none() != balance
    told = {str(record.__dict__.get("reason")) for record in caplog.records}
    assert f"ledger 98 is in quarantine: the state waits for checkpoint 103, the archive is at {_NEWEST}" in told
    with pytest.raises(StateError, match="ledger 98 is in quarantine and no checkpoint lies between it and ledger 100"):
        _system(url, closed_network.STREAM).run()
    assert system.counts.failures == 0
