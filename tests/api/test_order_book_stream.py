"""The order book in memory against the tables, on either kind of database, whatever happens to them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

import closed_network
from aurora_ingest import cli
from aurora_ingest.api.order_book_stream import OrderBookStream
from aurora_ingest.api.problems import OverCapacity, StateInvalid, StillIngesting
from aurora_ingest.db import cursor
from aurora_ingest.db.engine import writing
from aurora_ingest.db.lead import Committer, Outcome
from aurora_ingest.db.order_book import read_rows
from aurora_ingest.db.order_book_removals import OFFER, WINDOW, order_book_removals
from aurora_ingest.db.reader import connect_reader, reading
from aurora_ingest.db.tables import key_value_store, offers
from aurora_ingest.orderbook.graph import OrderBookGraph
from following.nodes import until

FIRST, LAST = closed_network.CHECKPOINT + 1, 100


class Followed:
    """A database that ledgers are committed to, and a stream that looks at it."""

    def __init__(self, url: str, *, verify_seconds: float = 0.0) -> None:
        self.engine = closed_network.state_at(url)
        self.reader = connect_reader(url, connections=2, statement_seconds=60.0)
        self.registry = CollectorRegistry()
        self.ledgers: list[int | None] = []
        self.stream = OrderBookStream(
            self.reader, self.registry, verify_seconds=verify_seconds, moved=self.ledgers.append
        )
        passphrase = closed_network.NETWORK.passphrase
        self._node = Committer(self.engine, node="one", network_passphrase=passphrase, deadline_seconds=30.0)

    def commit(self, first: int, last: int) -> None:
        while first <= last:
            group = [closed_network.prepared()[sequence] for sequence in range(first, last + 1)]
            result = self._node.commit(group)
            assert result.outcome is Outcome.LED
            first = result.committed[-1] + 1

    def put(self, key: str, value: str) -> None:
        with writing(self.engine) as connection:
            connection.execute(sa.update(key_value_store).where(key_value_store.c.key == key).values(value=value))

    def fingerprint(self) -> tuple[int, bytes]:
        """Of the graph."""
        with self.stream.searching(1.0) as graph:
            return graph.ledger, graph.fingerprint()

    def expected(self) -> tuple[int, bytes]:
        """Of a graph that is made of the tables."""
        with reading(self.reader, 60.0) as (connection, standing):
            assert standing.ledger is not None
            graph = OrderBookGraph(standing.ledger, *read_rows(connection))
        return graph.ledger, graph.fingerprint()

    def figure(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"aurora_serve_order_book_{name}", labels) or 0.0

    def close(self) -> None:
        self.engine.dispose()
        self.reader.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.db"
        return
    server: str = request.getfixturevalue("postgres_server")
    name = f"stream_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # a name of our own making
        yield f"{server}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture
def followed(url: str) -> Iterator[Followed]:
    opened = Followed(url)
    yield opened
    opened.close()


def test_after_every_ledger_the_graph_is_that_of_the_tables(followed: Followed) -> None:
    followed.stream.look()
    for ledger in range(FIRST, LAST + 1):
        followed.commit(ledger, ledger)
        followed.stream.look()
        assert followed.fingerprint() == followed.expected()
    assert followed.ledgers == list(range(FIRST - 1, LAST + 1))
    assert followed.figure("loads_total", reason="start") == 1
    assert followed.figure("moves_total") == LAST - FIRST + 1
    with followed.engine.connect() as connection:
        removed = sa.select(sa.func.count()).where(order_book_removals.c.kind == OFFER)
        assert connection.execute(removed).scalar_one() > 0, "no offer left: the test proves nothing of removals"


def test_several_ledgers_are_taken_at_once(followed: Followed) -> None:
    followed.stream.look()
    for first, last in ((64, 65), (66, 90), (91, 100)):
        followed.commit(first, last)
        followed.stream.look()
        assert followed.fingerprint() == followed.expected()
    assert followed.figure("moves_total") == 3


def test_a_ledger_without_its_removals_is_doubt_enough(followed: Followed) -> None:
    followed.stream.look()
    followed.commit(64, 70)
    with writing(followed.engine) as connection:
        connection.execute(sa.delete(order_book_removals).where(order_book_removals.c.ledger == 67))
    followed.stream.look()
    assert followed.fingerprint() == followed.expected()
    assert followed.figure("loads_total", reason="removals") == 1
    assert followed.figure("moves_total") == 0


def test_removals_are_kept_for_a_window(followed: Followed) -> None:
    with writing(followed.engine) as connection:
        connection.execute(
            sa.insert(order_book_removals),
            [{"ledger": ledger, "kind": "ledger", "id": ""} for ledger in (FIRST - WINDOW, FIRST - WINDOW + 1)],
        )
    followed.commit(FIRST, FIRST)
    with followed.engine.connect() as connection:
        kept = connection.execute(sa.select(sa.func.min(order_book_removals.c.ledger))).scalar_one()
    assert kept == FIRST - WINDOW + 1


def test_a_cursor_that_goes_back_by_a_rebuild_is_followed(followed: Followed, url: str) -> None:
    followed.commit(64, 90)
    followed.stream.look()
    with writing(followed.engine) as connection:
        cursor.write(connection, cursor.STATE_INVALID, "true")
    network = ["--network", "standalone", "--checkpoint-frequency", "8"]
    archive = ["--history-archive-url", str(closed_network.ARCHIVE), "--checkpoint", "79"]
    assert cli.run(["build-state", *network, *archive, "--db-url", url, "--log-level", "warning"]) == 0
    followed.stream.look()
    assert followed.fingerprint() == followed.expected()
    assert followed.fingerprint()[0] == 79
    assert followed.figure("loads_total", reason="build") == 1
    followed.commit(80, 95)
    followed.stream.look()
    assert followed.fingerprint() == followed.expected()


@pytest.mark.parametrize("key, value, reason", [
    (cursor.LAST_LEDGER, "62", "cursor"),
    (cursor.LAST_HASH, "ab" * 32, "hash"),
])  # fmt: skip
def test_what_cannot_have_gone_on_is_read_anew(followed: Followed, key: str, value: str, reason: str) -> None:
    followed.stream.look()
    followed.put(key, value)
    followed.stream.look()
    assert followed.figure("loads_total", reason=reason) == 1
    assert followed.fingerprint() == followed.expected()


@pytest.mark.parametrize("key, value, problem", [
    (cursor.VERSION, "2", StillIngesting),
    (cursor.LAST_LEDGER, "0", StillIngesting),
    (cursor.STATE_INVALID, "true", StateInvalid),
])  # fmt: skip
def test_a_state_that_may_not_be_shown_has_no_graph(
    followed: Followed, key: str, value: str, problem: type[Exception]
) -> None:
    followed.stream.look()
    with followed.engine.connect() as connection:
        before = cursor.read(connection, key) or "false"
    followed.put(key, value)
    followed.stream.look()
    with pytest.raises(problem):
        followed.fingerprint()
    assert followed.stream.ledger is None
    followed.put(key, before)
    followed.stream.look()
    assert followed.fingerprint() == followed.expected()


def test_a_graph_that_differs_from_the_tables_is_found_and_replaced(url: str) -> None:
    followed = Followed(url, verify_seconds=1e-9)
    try:
        followed.stream.look()
        followed.stream.look()
        assert followed.figure("verifications_total", outcome="sound") == 1
        with writing(followed.engine) as connection:
            connection.execute(sa.update(offers).values(amount=offers.c.amount + 1))
        followed.stream.look()
        assert followed.figure("verifications_total", outcome="mismatch") == 1
        assert followed.fingerprint() == followed.expected()
    finally:
        followed.close()


def test_whoever_searches_sees_one_ledger_while_the_graph_moves(followed: Followed) -> None:
    followed.stream.look()
    seen: set[tuple[int, bytes]] = set()
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            seen.add(followed.fingerprint())

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    expected = {followed.expected()}
    try:
        for first in range(FIRST, LAST, 3):
            followed.commit(first, min(first + 2, LAST))
            followed.stream.look()
            expected.add(followed.expected())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(seen) > 1
    assert seen <= expected


def test_a_search_does_not_wait_for_ever(followed: Followed) -> None:
    followed.stream.look()
    with followed.stream._lock.alone(), pytest.raises(OverCapacity), followed.stream.searching(0.01):
        pass
    assert followed.fingerprint() == followed.expected()


def test_a_stream_that_failed_says_so_until_it_looks_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    followed = Followed(url)
    try:
        followed.stream.look()
        before = followed.fingerprint()
        with writing(followed.engine) as connection:
            connection.exec_driver_sql("ALTER TABLE key_value_store RENAME TO gone")
        stop = threading.Event()
        thread = threading.Thread(target=followed.stream.run, args=(stop, 0.01))
        thread.start()
        try:
            until(lambda: followed.stream.failure, "the failure is told")
            assert followed.fingerprint() == before
            with writing(followed.engine) as connection:
                connection.exec_driver_sql("ALTER TABLE gone RENAME TO key_value_store")
            until(lambda: followed.stream.failure is None, "the stream goes on")
        finally:
            stop.set()
            followed.stream.hurry()
            thread.join()
    finally:
        followed.close()
