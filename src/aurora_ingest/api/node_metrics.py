"""The figures of one following node, as Prometheus reads them."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from aurora_ingest import __version__
from aurora_ingest.transforms import metrics, order_book_metrics

_VERIFYING_SECONDS = (0.1, 1.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class NodeMetrics:
    """Listens to a node's events; its registry is what a scrape gives.

    Figures that mean the same as Horizon's have Horizon's names; the others begin with ``aurora_ingest``.
    """

    def __init__(
        self, newest_protocol: int, newest_read: Callable[[], int | None], now: Callable[[], float] = time.time
    ) -> None:
        """Makes the figures.

        Args:
            newest_protocol: newest protocol that this version reads.
            newest_read: last ledger that the node has read ahead, None when there is none.
            now: clock, seconds since 1970.
        """
        self.registry = CollectorRegistry()
        self._now = now
        self._close_time: int | None = None
        self._position: int | None = None
        self._started: dict[int, float] = {}
        mine = self.registry
        Info("horizon_build", "Version of this program.", registry=mine).info({"version": __version__})
        Gauge("horizon_ingest_max_supported_protocol_version", "Newest protocol that can be read.", registry=mine).set(
            newest_protocol
        )
        self._latest = Gauge("horizon_ingest_local_latest_ledger", "Last ledger seen committed.", registry=mine)
        self._durations = Histogram(
            "horizon_ingest_ledger_ingestion_duration_seconds",
            "From the reading of a ledger to its commit.",
            buckets=_SECONDS,
            registry=mine,
        )
        self._stats = Counter(
            "horizon_ingest_ledger_stats", "What the committed ledgers held.", ["type"], registry=mine
        )
        self._errors = Counter(
            "horizon_ingest_errors",
            "Failures, by state before and after.",
            ["current_state", "next_state"],
            registry=mine,
        )
        self._leader = Gauge("aurora_ingest_leader", "1 if this node wrote the last committed ledger.", registry=mine)
        self._led = Counter("aurora_ingest_led_ledgers", "Ledgers that this node wrote.", registry=mine)
        self._locks = Histogram(
            "aurora_ingest_lock_hold_seconds",
            "How long this node held the cursor, by commit.",
            buckets=_SECONDS,
            registry=mine,
        )
        self._invalid = Gauge(
            "horizon_ingest_state_invalid", "1 from a mismatch with the archive to the rebuild.", registry=mine
        )
        self._verifying = Histogram(
            "horizon_ingest_state_verify_duration_seconds",
            "How long comparing the state with the archive took.",
            buckets=_VERIFYING_SECONDS,
            registry=mine,
        )
        self._verified_entries = Gauge(
            "horizon_ingest_state_verify_ledger_entries",
            "Ledger entries of the last checkpoint that was compared.",
            ["type"],
            registry=mine,
        )
        self._verifications = Counter(
            "aurora_ingest_state_verifications", "Comparisons with the archive.", ["outcome"], registry=mine
        )
        self._transitions = Counter("aurora_ingest_transitions", "Entries into states.", ["state"], registry=mine)
        self._ended = Counter(
            "aurora_ingest_ended_holders", "Sessions of stuck nodes that this one ended.", registry=mine
        )
        self._quarantined = Counter(
            "aurora_ingest_quarantined", "Records that this node put into quarantine.", registry=mine
        )
        self._book_sizes: dict[tuple[str, str], int] = {}
        self._books_at = Gauge(
            "aurora_ingest_order_books_latest_ledger", "The last ledger whose order books are written.", registry=mine
        )
        self._books = Gauge("aurora_ingest_order_books", "Pairs whose book this node keeps.", registry=mine)
        self._book_bytes = Gauge(
            "aurora_ingest_order_books_state_bytes", "Bytes of the books that this node keeps.", registry=mine
        )
        self._largest_book = Gauge(
            "aurora_ingest_order_books_largest_state_bytes", "Bytes of the largest of them.", registry=mine
        )
        self._lost_books = Counter(
            "aurora_ingest_order_books_lost_ledgers", "Ledgers whose order books are a gap.", registry=mine
        )
        Gauge("aurora_ingest_lag_ledgers", "Ledgers read and not yet committed.", registry=mine).set_function(
            lambda: self._lag_ledgers(newest_read())
        )
        Gauge(
            "aurora_ingest_lag_seconds", "Age of the last committed ledger by its close time.", registry=mine
        ).set_function(self.lag_seconds)

    def __call__(self, event: metrics.ProgressEvent) -> None:
        """Takes an event in."""
        if isinstance(event, metrics.LedgerReadFrom):
            self._started[event.sequence] = self._now()
        elif isinstance(event, metrics.LedgerCommitted):
            self._committed(event)
        elif isinstance(event, metrics.NodeTransition):
            self._transitions.labels(event.following).inc()
            if event.failed:
                self._errors.labels(event.former, event.following).inc()
        elif isinstance(event, metrics.CursorHeld):
            if event.seconds:
                self._locks.observe(event.seconds)
            self._ended.inc(event.ended_holders)
            self._quarantined.inc(event.quarantined)
        elif isinstance(event, metrics.StateVerified):
            self._verified(event)
        elif isinstance(event, metrics.BuildFinished):
            self._invalid.set(0)
        elif isinstance(event, order_book_metrics.OrderBooksMoved | order_book_metrics.OrderBooksWritten):
            self._order_books(event)

    def _order_books(self, event: order_book_metrics.OrderBooksMoved | order_book_metrics.OrderBooksWritten) -> None:
        if isinstance(event, order_book_metrics.OrderBooksMoved):
            for pair, size in event.sizes.items():
                self._book_bytes.inc(size - self._book_sizes.get(pair, 0))
                self._book_sizes[pair] = size
            self._books.set(len(self._book_sizes))
            self._largest_book.set(max(self._book_sizes.values(), default=0))
        elif event.is_lost:
            self._lost_books.inc()
        else:
            self._books_at.set(event.ledger)

    def _verified(self, event: metrics.StateVerified) -> None:
        self._verifications.labels(event.outcome).inc()
        if event.outcome in {"sound", "mismatch"}:
            self._invalid.set(int(event.outcome == "mismatch"))
            self._verifying.observe(event.seconds)
            for kind, count in event.entries.items():
                self._verified_entries.labels(kind).set(count)

    def _committed(self, event: metrics.LedgerCommitted) -> None:
        self._position, self._close_time = event.sequence, event.close_time
        self._latest.set(event.sequence)
        self._leader.set(int(event.leader))
        if event.leader:
            self._led.inc()
        self._stats.labels("ledgers").inc()
        if event.transactions is not None:
            self._stats.labels("transactions").inc(event.transactions)
        began = self._started.pop(event.sequence, None)
        if began is not None:
            self._durations.observe(max(self._now() - began, 0.0))

    def lag_seconds(self) -> float:
        """Age of the last committed ledger in seconds, NaN before the first one."""
        return float("nan") if self._close_time is None else self._now() - self._close_time

    def _lag_ledgers(self, newest: int | None) -> float:
        if newest is None or self._position is None:
            return 0.0
        return float(max(newest - self._position, 0))
