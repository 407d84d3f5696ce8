"""Every kind of start, on PostgreSQL: state or none (1), of this version or not (2), leading or not (3).

Each scenario runs two nodes of this version, of which one always comes first and the other always second: the first is
the case with 3a, the second that with 3b. Where an older release is running, it is a third one.
"""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

import closed_network
from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.db.engine import connect
from aurora_ingest.db.lead import Committer
from following.driver import BEFORE_PUBLISH, HOLD
from following.nodes import GrowingSource, Node, Nodes, commits_of, cursor_of, differences, dump, nodes_in, until

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

OLD, NEW = CURRENT_VERSION, CURRENT_VERSION + 1
_RESUMED = ["start", "resume", "stop"]
_BUILT = ["start", "build", "start", "resume", "stop"]
_WAITED = ["start", "build", "wait for builder", "start", "resume", "stop"]


@dataclass(frozen=True)
class Done:
    """What a scenario left."""

    url: str
    first: Node
    second: Node
    older: Node | None
    led: Mapping[int, str]
    led_while_building: Mapping[int, str]
    version: str


@dataclass(frozen=True)
class Case:
    """One of the eight: how it starts, whether the node leads, and what it has to do."""

    has_state: bool
    version_changed: bool
    leads: bool
    states: list[str]


CASES = {
    "1a-2a-3a": Case(False, True, True, _BUILT),
    "1a-2a-3b": Case(False, True, False, _WAITED),
    "1a-2b-3a": Case(False, False, True, _BUILT),
    "1a-2b-3b": Case(False, False, False, _WAITED),
    "1b-2a-3a": Case(True, True, True, _BUILT),
    "1b-2a-3b": Case(True, True, False, _WAITED),
    "1b-2b-3a": Case(True, False, True, _RESUMED),
    "1b-2b-3b": Case(True, False, False, _RESUMED),
}


@pytest.fixture(scope="module")
def new_database(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases for the scenarios, which outlive single tests."""
    names: list[str] = []
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:

        def make() -> str:
            names.append(f"starts_{uuid.uuid4().hex[:12]}")
            connection.execute(f"CREATE DATABASE {names[-1]}")  # type: ignore[arg-type]
            return f"{postgres_server}/{names[-1]}"

        yield make
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def undisturbed(new_database: Callable[[], str]) -> dict[str, bytes]:
    """All tables at ledger 100, from state 63 by one committer that nobody disturbed."""
    url = new_database()
    engine = closed_network.state_at(url)
    committer = Committer(engine, node="alone", network_passphrase=closed_network.NETWORK.passphrase)
    for sequence in range(64, 101):
        assert committer.commit([closed_network.prepared()[sequence]]).committed == (sequence,)
    engine.dispose()
    return dump(url, without=("as_of_checkpoint",))


@pytest.fixture(scope="module")
def scenario(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Done]:
    """Runs a scenario once; the two cases that differ in 3 are two nodes of the same run."""
    done: dict[tuple[bool, bool], Done] = {}

    def get(case: Case) -> Done:
        kind = (case.has_state, case.version_changed)
        if kind not in done:
            done[kind] = _run(new_database(), tmp_path_factory.mktemp("starts"), *kind)
        return done[kind]

    return get


def _run(url: str, folder: Path, has_state: bool, version_changed: bool) -> Done:
    source = GrowingSource(folder / "ledgers.xdr", closed_network.ledgers(), 96)
    network = ("--network", "standalone", "--checkpoint-frequency", "8")
    place = ("--history-archive-url", str(closed_network.ARCHIVE), "--ledgers", str(source.path), "--db-url", url)
    times = ("--poll-interval", "0.1", "--takeover-after", "60")
    with nodes_in(
        folder, *network, *place, *times, "--history-tables", ",".join(closed_network.HISTORY_TABLES)
    ) as nodes:
        older = _prepare(url, nodes, has_state, version_changed)
        version = NEW if version_changed else OLD
        builds = version_changed or not has_state
        led_while_building: dict[int, str] = {}
        if builds:
            nodes.order(BEFORE_PUBLISH, HOLD)
        first = nodes.start("first", "--until", "100", version=version)
        if builds:
            until(lambda: nodes.hit(BEFORE_PUBLISH), f"the first node builds: {first.tail()}")
        second = nodes.start("second", "--until", "100", version=version, comes_second=True)
        if builds:
            until(lambda: second.lines("Waiting for another node's state build"), f"the second waits: {second.tail()}")
            if older is not None:
                source.give(97)
                until(lambda: cursor_of(url) == 97, f"the older node leads on: {older.tail()}")
                led_while_building = {ledger: node for ledger, (node, _) in commits_of(url).items()}
            assert "resume" not in first.states()
            nodes.release(BEFORE_PUBLISH)
        if older is not None:
            assert older.exit_code() == 1
        source.give(*range(97 if older is None else 98, 101))
        assert [first.exit_code(), second.exit_code()] == [0, 0], first.tail() + second.tail()
    led = {ledger: node for ledger, (node, _) in commits_of(url).items()}
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT value FROM key_value_store WHERE key = 'exp_ingest_version'").fetchone()
    assert row is not None
    return Done(url, first, second, older, led, led_while_building, row[0])


def _prepare(url: str, nodes: Nodes, has_state: bool, version_changed: bool) -> Node | None:
    """Brings the database to where the scenario begins; returns the node of the older release that runs, if any."""
    if has_state:
        closed_network.state_at(url).dispose()
        if not version_changed:
            return None
        older = nodes.start("older", version=OLD)
        until(lambda: cursor_of(url) == 96, f"the older node leads: {older.tail()}")
        return older
    assert closed_network.cli.run(["db", "migrate", "--db-url", url]) == 0
    if version_changed:
        # The original's seeds: a cursor of 0 that means none, and the version of rules that never finished a state.
        engine = connect(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO key_value_store (key, value) VALUES ('exp_ingest_last_ledger', '0'), "
                "('exp_ingest_version', '2')"
            )
        engine.dispose()
    return None


@pytest.mark.parametrize("name", CASES)
def test_a_start_of_every_kind(name: str, scenario: Callable[[Case], Done], undisturbed: dict[str, bytes]) -> None:
    case = CASES[name]
    done = scenario(case)
    node = done.first if case.leads else done.second
    assert node.states() == case.states
    assert bool(node.lines("State build begins")) == ("build" in case.states and case.leads)
    mine = [ledger for ledger, who in done.led.items() if who == node.name]
    if not case.leads:
        assert mine == []
    elif case.states == _RESUMED:
        assert mine == list(range(64, 101))
    else:
        assert mine == list(range(96, 101))
    # Every ledger after the state was processed by every node, whoever wrote it.
    processed = [line["sequence"] for line in node.lines("Finished processing ledger")]
    assert sorted(set(processed)) == list(range(96 if "build" in case.states else 64, 101))
    assert done.version == str(NEW if case.version_changed else OLD)
    found = dump(done.url, without=("as_of_checkpoint",))
    state = {table: rows for table, rows in undisturbed.items() if _is_state(table)}
    assert not differences({table: found[table] for table in state}, state)


def test_the_older_release_leads_until_the_newer_one_publishes(scenario: Callable[[Case], Done]) -> None:
    done = scenario(CASES["1b-2a-3a"])
    older = done.older
    assert older is not None
    assert done.led_while_building == dict.fromkeys(range(64, 98), "older")
    assert "install a newer aurora-ingest" in older.tail()
    assert done.led == {**dict.fromkeys(range(64, 96), "older"), **dict.fromkeys(range(96, 101), "first")}


def test_a_builder_that_falls_silent_is_taken_over(
    new_database: Callable[[], str], tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    url = new_database()
    assert closed_network.cli.run(["db", "migrate", "--db-url", url]) == 0
    source = GrowingSource(tmp_path / "ledgers.xdr", closed_network.ledgers(), 100)
    network = ("--network", "standalone", "--checkpoint-frequency", "8")
    place = ("--history-archive-url", str(closed_network.ARCHIVE), "--ledgers", str(source.path), "--db-url", url)
    times = ("--poll-interval", "0.1", "--takeover-after", "10", "--until", "100")
    with nodes_in(tmp_path, *network, *place, *times) as nodes:
        nodes.order(BEFORE_PUBLISH, "SIGSTOP")
        first = nodes.start("first")
        until(lambda: nodes.hit(BEFORE_PUBLISH), f"the first node builds: {first.tail()}")
        second = nodes.start("second")
        assert second.exit_code() == 0, second.tail()
        # The first one awakes with a finished build, and may not publish it any more.
        first.send(signal.SIGCONT)
        assert first.exit_code() == 0, first.tail()
    assert second.states() == ["start", "build", "wait for builder", "build", "start", "resume", "stop"]
    assert first.lines("State build is another node's"), first.tail()
    assert {node for node, _ in commits_of(url).values()} == {"second"}
    with psycopg.connect(url) as connection:
        builds = connection.execute("SELECT epoch, status FROM ingest_builds").fetchall()
        assert [epoch for epoch, _ in builds] == [2]
    found = dump(url, without=("as_of_checkpoint",))
    state = {table: rows for table, rows in undisturbed.items() if _is_state(table)}
    assert not differences({table: found[table] for table in state}, state)


def _is_state(table: str) -> bool:
    return not table.startswith(("history_", "ingest_", "ledger_entry_changes", "key_value_store"))
