"""The order book of the database, kept in memory and moved on with it: always that of exactly one ledger."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge

from aurora_ingest.api.problems import OverCapacity, StillIngesting
from aurora_ingest.api.readiness import ready_ledger
from aurora_ingest.api.shared_lock import SharedLock
from aurora_ingest.db.order_book import OrderBookChanges, read_build_mark, read_changes, read_rows
from aurora_ingest.db.reader import Standing, reading
from aurora_ingest.errors import DatabaseError, StateError
from aurora_ingest.orderbook.graph import OrderBookGraph

READ_SECONDS: Final = 600.0
"""Longest time of one statement: a large state is read as a whole."""
_PAUSE_SECONDS: Final = 5.0
"""Pause after a failure."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Mark:
    """Which state a graph is of: two are the same state exactly if their marks are equal."""

    ledger: int
    ledger_hash: str | None
    build: str | None


class OrderBookStream:
    """Follows the offers and pools of a database.

    At each look it compares where the database stands with where its graph stands. If the database went on from
    there, the graph takes the changes of the ledgers in between at once: rows by ``last_modified_ledger``, and what
    left by ``order_book_removals``. In every other case, the cursor went back, the ledger has another hash, another
    build was published, or the removals are not all there any more, it reads the whole order book anew. Now and then
    it compares the graph with the tables of the same moment.

    While the state may not be shown, there is no graph. While the database does not answer, the last graph stays.
    """

    def __init__(
        self,
        engine: sa.Engine,
        registry: CollectorRegistry,
        *,
        verify_seconds: float,
        moved: Callable[[int | None], None] = lambda _ledger: None,
    ) -> None:
        """Makes a stream without a graph.

        Args:
            engine: the database, for reading; one connection is used.
            registry: what the stream's figures are added to.
            verify_seconds: how often the graph is compared with the tables; 0 is never.
            moved: is told the ledger whenever the graph has become another one, None when there is none any more.
        """
        self._engine = engine
        self._verify_seconds = verify_seconds
        self._moved = moved
        self._lock = SharedLock()
        self._graph: OrderBookGraph | None = None
        self._mark: _Mark | None = None
        self._standing: Standing | None = None
        self._verified = time.monotonic()
        self._hurry = threading.Event()
        self._is_new = True
        self.failure: str | None = None
        self._ledger = Gauge("aurora_serve_order_book_ledger", "Ledger of the order book.", registry=registry)
        self._offers = Gauge("aurora_serve_order_book_offers", "Offers in the order book.", registry=registry)
        self._pools = Gauge("aurora_serve_order_book_pools", "Pools in the order book.", registry=registry)
        self._loads = Counter(
            "aurora_serve_order_book_loads",
            "Whole order books that were read, by reason.",
            ["reason"],
            registry=registry,
        )
        self._moves = Counter("aurora_serve_order_book_moves", "Changes that were taken over.", registry=registry)
        self._verifications = Counter(
            "aurora_serve_order_book_verifications", "Comparisons with the tables.", ["outcome"], registry=registry
        )

    @property
    def ledger(self) -> int | None:
        """The ledger of the graph, None while there is none."""
        mark = self._mark
        return None if mark is None else mark.ledger

    @contextmanager
    def searching(self, seconds: float) -> Iterator[OrderBookGraph]:
        """Keeps the graph as it is for the time of a block; its ledger is that of every answer from it.

        Raises:
            StillIngesting: there is no state yet.
            StateInvalid: the state was found wrong.
            OverCapacity: others kept the graph from moving on for this time.
        """
        try:
            with self._lock.shared(seconds):
                if self._graph is None:
                    if self._standing is not None:
                        ready_ledger(self._standing)
                    raise StillIngesting
                yield self._graph
        except TimeoutError as error:
            raise OverCapacity(headers={"Retry-After": "1"}) from error

    @contextmanager
    def at(self, ledger: int, ledger_hash: str | None, seconds: float) -> Iterator[OrderBookGraph | None]:
        """Like `searching`, but yields None if the graph is not that of this ledger."""
        with self.searching(seconds) as graph:
            mark = self._mark
            assert mark is not None
            yield graph if (mark.ledger, mark.ledger_hash) == (ledger, ledger_hash) else None

    def look(self) -> None:
        """Looks at the database once, and brings the graph to where it stands.

        Raises:
            DatabaseError: it did not answer, or not in time; the graph is as before.
            StateError: its offers or pools cannot be traded with; there is no graph any more.
        """
        with reading(self._engine, READ_SECONDS) as (connection, standing):
            self._standing = standing
            if not standing.is_ready or standing.ledger is None:
                self._put(None, None)
            else:
                self._come_to(connection, _Mark(standing.ledger, standing.ledger_hash, read_build_mark(connection)))
        self.failure = None
        if self._is_new:
            self._is_new = False
            self._moved(self.ledger)

    def hurry(self) -> None:
        """Has the next look begin at once."""
        self._hurry.set()

    def run(self, stop: threading.Event, poll_seconds: float) -> None:
        """Looks again and again until it is told to stop; a failure is logged once and tried again.

        Args:
            stop: when to stop; `hurry` after it is set.
            poll_seconds: pause between two looks.
        """
        while not stop.is_set():
            self._hurry.clear()
            pause = poll_seconds
            try:
                self.look()
            except (DatabaseError, StateError) as error:
                if self.failure is None:
                    _LOG.warning("The order book cannot follow the database", extra={"reason": str(error)})
                self.failure = str(error)
                pause = max(poll_seconds, min(_PAUSE_SECONDS, 10 * poll_seconds))
            self._hurry.wait(pause)

    def _come_to(self, connection: sa.Connection, mark: _Mark) -> None:
        reason = self._doubt(mark)
        if reason is None and self._mark is not None and mark != self._mark:
            changes = read_changes(connection, self._mark.ledger, mark.ledger)
            reason = "removals" if changes is None else self._moved_on(changes, mark)
        if reason is not None:
            self._load(connection, mark, reason)
        elif self._verify_seconds and time.monotonic() - self._verified >= self._verify_seconds:
            self._verify(connection, mark)

    def _doubt(self, mark: _Mark) -> str | None:
        """Says why the graph cannot be moved on to a state, None if it can."""
        if self._graph is None or self._mark is None:
            return "start"
        if mark.build != self._mark.build:
            return "build"
        if mark.ledger < self._mark.ledger:
            return "cursor"
        if mark.ledger == self._mark.ledger and mark.ledger_hash != self._mark.ledger_hash:
            return "hash"
        return None

    def _moved_on(self, changes: OrderBookChanges, mark: _Mark) -> str | None:
        """Takes changes over; nobody sees the graph between two of the ledgers. Returns why it could not."""
        graph = self._graph
        assert graph is not None
        offers, pools = changes.offers.slice(0, 0), changes.liquidity_pools.slice(0, 0)
        with self._lock.alone():
            try:
                for ledger in range(graph.ledger + 1, mark.ledger):
                    graph.apply(ledger, offers, (), pools, ())
                graph.apply(
                    mark.ledger, changes.offers, changes.removed_offers, changes.liquidity_pools, changes.removed_pools
                )
            except StateError:
                self._graph = self._mark = None
                return "changes"
            self._mark = mark
        self._is_new = True
        self._moves.inc()
        self._tell(graph)
        return None

    def _load(self, connection: sa.Connection, mark: _Mark, reason: str) -> None:
        self._loads.labels(reason).inc()
        started = time.monotonic()
        try:
            graph = OrderBookGraph(mark.ledger, *read_rows(connection))
        except StateError:
            self._put(None, None)
            raise
        self._put(graph, mark)
        self._verified = time.monotonic()
        _LOG.info(
            "Order book read",
            extra={"ledger": mark.ledger, "reason": reason, "seconds": round(time.monotonic() - started, 3)},
        )

    def _verify(self, connection: sa.Connection, mark: _Mark) -> None:
        """Compares the graph with the tables, of the same moment; what the tables say is right."""
        self._verified = time.monotonic()
        graph = self._graph
        assert graph is not None
        fresh = OrderBookGraph(mark.ledger, *read_rows(connection))
        if fresh.fingerprint() == graph.fingerprint():
            self._verifications.labels("sound").inc()
            return
        self._verifications.labels("mismatch").inc()
        _LOG.error("The order book differed from the tables and was read anew", extra={"ledger": mark.ledger})
        self._put(fresh, mark)

    def _put(self, graph: OrderBookGraph | None, mark: _Mark | None) -> None:
        self._is_new = self._is_new or graph is not None or self._graph is not None
        with self._lock.alone():
            self._graph, self._mark = graph, mark
        self._tell(graph)

    def _tell(self, graph: OrderBookGraph | None) -> None:
        self._ledger.set(0 if graph is None else graph.ledger)
        self._offers.set(0 if graph is None else graph.kernel.offers)
        self._pools.set(0 if graph is None else graph.kernel.pools)
