"""One node that follows, on SQLite: every kind of start, and sources that are not as they should be."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import zstandard

import closed_network
from aurora_ingest.db import cursor, nodes
from aurora_ingest.db.engine import writing
from aurora_ingest.db.history_books import ingest_live
from aurora_ingest.errors import (
    DatabaseError,
    HashMismatchError,
    MigrationError,
    NetworkMismatchError,
    StateError,
    UnsupportedProtocolError,
)
from aurora_ingest.ledger_backend.backend import BackendOptions, LedgerBackend
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.network import STANDALONE, Network
from aurora_ingest.pipelines.follow import FollowPlan
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.runners import launch
from aurora_ingest.system import System, SystemOptions, SystemState
from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.processors import HISTORY_TABLES, TABLES


def _stream(path: Path, ledgers: dict[int, bytes]) -> Path:
    """Writes ledgers as a framed stream."""
    with path.open("wb") as file:
        for data in ledgers.values():
            file.write((len(data) | 0x8000_0000).to_bytes(4, "big") + data)
    return path


def _source(path: Path, network: Network = closed_network.NETWORK) -> LedgerBackend:
    return open_backend(str(path), network, options=BackendOptions(poll_interval=0.02))


def _system(
    url: str,
    source: LedgerBackend,
    *,
    until: int | None = 100,
    stop: threading.Event | None = None,
    network: Network = closed_network.NETWORK,
    builds: bool = True,
) -> System:
    plan = FollowPlan(network, source, url, "one", HISTORY_TABLES, until=until)
    archives = (str(closed_network.ARCHIVE),) if builds else ()
    folder = str(Path(sa.make_url(url).database or "").parent / "work")
    build = BuildStateOptions(network=network, archive_urls=archives, db_url=url, work_dir=folder)
    options = SystemOptions(plan, archives, build, poll_interval=0.02, takeover_after=1.0)
    return System(options, launch.choose_engine([]), stop)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    opened = closed_network.state_at(url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    """All rows after ledger 100, state at 95 built from the archive and five ledgers followed."""
    url = f"sqlite:///{tmp_path_factory.mktemp('follow')}/state.db"
    assert closed_network.cli.run(["db", "migrate", "--db-url", url]) == 0
    system = _system(url, _source(closed_network.STREAM))
    system.run()
    assert system.counts.transitions[SystemState.BUILD] == 1
    opened = sa.create_engine(url)
    found = closed_network.rows(opened, TABLES)
    opened.dispose()
    return found


def test_an_empty_database_is_built_and_followed(undisturbed: dict[str, list[tuple[object, ...]]]) -> None:
    assert len(undisturbed["accounts"]) > 100


def test_an_existing_state_is_resumed(
    url: str, engine: sa.Engine, undisturbed: dict[str, list[tuple[object, ...]]]
) -> None:
    system = _system(url, _source(closed_network.STREAM))
    system.run()
    assert dict(system.counts.transitions) == {SystemState.START: 1, SystemState.RESUME: 1, SystemState.STOP: 1}
    assert (system.counts.position, system.counts.led, system.counts.last_led) == (100, 37, 100)
    # From 63 by 37 ledgers, or from 95 by 5: the same rows.
    assert closed_network.rows(engine, TABLES) == undisturbed
    assert [ledger for ledger, _ in closed_network.commits(engine)] == list(range(64, 101))
    assert [row[0] for row in closed_network.rows(engine, HISTORY_TABLES)["history_ledgers"]] == list(range(64, 101))
    with engine.connect() as connection:
        assert nodes.read_nodes(connection) == ()
        assert connection.execute(sa.select(ingest_live)).first() is None


@pytest.mark.parametrize("key,value", [(cursor.VERSION, "2"), (cursor.STATE_INVALID, "true")])
def test_an_older_or_a_wrong_state_is_built_again(
    url: str, engine: sa.Engine, key: str, value: str, undisturbed: dict[str, list[tuple[object, ...]]]
) -> None:
    with writing(engine) as connection:
        cursor.write(connection, key, value)
        connection.execute(sa.text("UPDATE accounts SET balance = balance + 1"))
    system = _system(url, _source(closed_network.STREAM))
    system.run()
    assert system.counts.transitions[SystemState.BUILD] == 1
    assert closed_network.rows(engine, TABLES) == undisturbed


def test_a_newer_state_stops_the_node(url: str, engine: sa.Engine) -> None:
    with writing(engine) as connection:
        cursor.write(connection, cursor.VERSION, str(cursor.CURRENT_VERSION + 1))
    with pytest.raises(MigrationError, match="install a newer aurora-ingest"):
        _system(url, _source(closed_network.STREAM)).run()
    assert closed_network.commits(engine) == []


def test_without_an_archive_no_state_is_made(url: str) -> None:
    assert closed_network.cli.run(["db", "migrate", "--db-url", url]) == 0
    with pytest.raises(StateError, match="give --history-archive-url, or run build-state"):
        _system(url, _source(closed_network.STREAM), builds=False).run()


def test_a_state_of_some_tables_is_not_followed(url: str) -> None:
    assert closed_network.cli.run(["db", "migrate", "--db-url", url]) == 0
    command = ["build-state", "--network", "standalone", "--checkpoint-frequency", "8", "--checkpoint", "63"]
    command += ["--history-archive-url", str(closed_network.ARCHIVE), "--db-url", url, "--log-level", "warning"]
    assert closed_network.cli.run([*command, "--tables", "accounts,offers"]) == 0
    with pytest.raises(StateError, match=r"the state was built without .*trust_lines"):
        _system(url, _source(closed_network.STREAM)).run()


def test_a_stop_takes_effect_between_ledgers_and_the_next_run_goes_on(url: str, engine: sa.Engine) -> None:
    stop = threading.Event()
    system = _system(url, _source(closed_network.STREAM), until=None, stop=stop)
    runner = threading.Thread(target=system.run)
    runner.start()
    _until(lambda: system.counts.position == 100)
    stop.set()
    runner.join(30)
    assert not runner.is_alive()
    assert cursor_of(engine) == 100


def test_a_stop_is_heard_after_the_group_in_hand(url: str, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aurora_ingest.transforms.lead.GROUP_LEDGERS", 3)
    stop = threading.Event()

    def ask(event: metrics.ProgressEvent) -> None:
        if isinstance(event, metrics.LedgerCommitted) and event.sequence == 67:
            stop.set()

    with metrics.subscribe(ask):
        _system(url, _source(closed_network.STREAM), stop=stop).run()
    # All 37 ledgers were there and decoded at once; 67 is the first of the second three.
    assert cursor_of(engine) == 69


def cursor_of(engine: sa.Engine) -> int | None:
    with engine.connect() as connection:
        return cursor.read_last_ledger(connection)


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_ledgers_that_come_later_are_followed(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    ledgers = closed_network.ledgers()
    growing = _stream(tmp_path / "growing.xdr", {n: data for n, data in ledgers.items() if n <= 70})
    system = _system(url, _source(growing), until=75)
    runner = threading.Thread(target=system.run)
    runner.start()
    _until(lambda: system.counts.position == 70)
    for sequence in range(71, 76):
        with growing.open("ab") as file:
            data = ledgers[sequence]
            frame = (len(data) | 0x8000_0000).to_bytes(4, "big") + data
            file.write(frame[:100])
            file.flush()
            time.sleep(0.05)
            file.write(frame[100:])
    runner.join(60)
    assert not runner.is_alive()
    assert cursor_of(engine) == 75


def test_a_cursor_that_moved_back_is_followed_again(
    url: str, engine: sa.Engine, undisturbed: dict[str, list[tuple[object, ...]]]
) -> None:
    stop = threading.Event()
    system = _system(url, _source(closed_network.STREAM), until=None, stop=stop)
    runner = threading.Thread(target=system.run)
    runner.start()
    _until(lambda: system.counts.position == 100)
    command = ["build-state", "--network", "standalone", "--checkpoint-frequency", "8", "--checkpoint", "63"]
    command += ["--history-archive-url", str(closed_network.ARCHIVE), "--db-url", url, "--log-level", "warning"]
    assert closed_network.cli.run(command) == 0
    _until(lambda: cursor_of(engine) == 100)
    stop.set()
    runner.join(30)
    assert closed_network.rows(engine, TABLES) == undisturbed


def _headers_changed(place: int) -> dict[int, bytes]:
    """All ledgers, one of them with a bit flipped."""
    changed = dict(closed_network.ledgers())
    damaged = bytearray(changed[70])
    damaged[place] ^= 1
    changed[70] = bytes(damaged)
    return changed


def test_a_ledger_of_another_chain_stops_the_node_before_it(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    # LedgerCloseMeta v0: discriminant, header hash, ledgerVersion, then the previous ledger's hash.
    path = _stream(tmp_path / "other.xdr", _headers_changed(4 + 32 + 4 + 5))
    with pytest.raises(HashMismatchError, match="ledger 70 names"):
        _system(url, _source(path)).run()
    assert cursor_of(engine) == 69


def test_a_newer_protocol_stops_the_node(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    path = _stream(tmp_path / "newer.xdr", _headers_changed(4 + 32 + 2))
    with pytest.raises(UnsupportedProtocolError, match="ledger 70"):
        _system(url, _source(path)).run()
    assert cursor_of(engine) == 69


def test_a_ledger_that_does_not_decode_stops_the_node_before_it(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    whole = closed_network.ledgers()
    lake = tmp_path / "lake"
    arguments = ["write-lake", "--network", "standalone", "--ledgers", str(closed_network.STREAM), "--from", "64"]
    assert closed_network.cli.run([*arguments, "--to", "100", "--lake", str(lake), "--log-level", "warning"]) == 0
    (damaged,) = lake.rglob("*--70.xdr.zst*")
    damaged.write_bytes(damaged.read_bytes()[:-40])
    stop = threading.Event()
    system = _system(url, _source(lake), stop=stop)
    runner = threading.Thread(target=system.run)
    runner.start()
    _until(lambda: system.counts.failures >= 2)
    assert cursor_of(engine) == 69
    batch = (70).to_bytes(4, "big") * 2 + (1).to_bytes(4, "big") + whole[70]
    damaged.write_bytes(zstandard.ZstdCompressor().compress(batch))
    runner.join(60)
    assert cursor_of(engine) == 100


def test_another_network_stops_the_node(url: str, engine: sa.Engine) -> None:
    stranger = dataclasses.replace(STANDALONE, passphrase="another network").with_checkpoint_frequency(8)
    with pytest.raises(NetworkMismatchError, match="another network"):
        _system(url, _source(closed_network.STREAM, stranger), network=stranger).run()
    with writing(engine) as connection:
        cursor.write(connection, cursor.NETWORK, "another network")
    with pytest.raises(NetworkMismatchError, match="none of its 9 transaction hashes"):
        _system(url, _source(closed_network.STREAM, stranger), network=stranger).run()
    assert cursor_of(engine) == 63


def test_a_hole_is_waited_at_with_growing_pauses(
    url: str, engine: sa.Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    holed = {n: data for n, data in closed_network.ledgers().items() if n != 70}
    path = _stream(tmp_path / "holed.xdr", holed)
    stop = threading.Event()
    system = _system(url, _source(path), stop=stop)
    runner = threading.Thread(target=system.run)
    runner.start()
    _until(lambda: system.counts.failures >= 4)
    stop.set()
    runner.join(60)
    assert cursor_of(engine) == 69
    again = [record for record in caplog.records if record.message == "Node begins again"]
    assert "70" in again[0].__dict__["error"]
    assert system.health()[0] is False


def test_a_database_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    stop = threading.Event()
    system = _system(f"sqlite:///{tmp_path}/no/such/folder/state.db", _source(closed_network.STREAM), stop=stop)
    runner = threading.Thread(target=system.run)
    runner.start()
    _until(lambda: system.counts.failures >= 2)
    stop.set()
    runner.join(30)
    assert not runner.is_alive()


def test_a_reingest_beyond_the_cursor_is_refused_while_a_node_follows(url: str, engine: sa.Engine) -> None:
    stop = threading.Event()
    system = _system(url, _source(closed_network.STREAM), until=None, stop=stop)
    runner = threading.Thread(target=system.run)
    runner.start()
    _until(lambda: system.counts.position == 100)
    from aurora_ingest.db import live
    from aurora_ingest.ledger.ledger_range import LedgerRange

    with pytest.raises(DatabaseError, match="a follower is running"):
        live.refuse_beyond_cursor(engine, LedgerRange(90, 101))
    live.refuse_beyond_cursor(engine, LedgerRange(90, 100))
    stop.set()
    runner.join(30)
