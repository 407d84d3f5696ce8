"""What a running build tells: the state reporter's log lines and the progress events inside one process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aurora_ingest.transforms.order_book_metrics import OrderBooksMoved, OrderBooksWritten

if TYPE_CHECKING:
    from aurora_ingest.transforms.ledger_unit import LedgerUnit

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]


@dataclass(frozen=True)
class BuildStarted:
    """A planned build begins to read its buckets.

    Attributes:
        checkpoint: ledger of the state that is being built.
        buckets_total: buckets that will be read.
        bytes_total: their compressed size in bytes, 0 when the archive does not tell.
        ranges_total: key ranges of the plan, None when a streaming merge discovers them.
    """

    checkpoint: int
    buckets_total: int
    bytes_total: int
    ranges_total: int | None = None


@dataclass(frozen=True)
class BucketProgress:
    """How far the buckets have been read; every number counts from the start of the build."""

    bytes_done: int
    bytes_total: int
    buckets_done: int
    buckets_total: int


@dataclass(frozen=True)
class RangeFinished:
    """One key range is written; `entries` are its live ledger entries, `rows` its rows by table."""

    index: int
    entries: int
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PublishStarted:
    """Everything is written and the swap into the visible tables begins."""

    checkpoint: int


@dataclass(frozen=True)
class BuildFinished:
    """The state at `checkpoint` is visible; `rows` are the rows of each table."""

    checkpoint: int
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LedgersRead:
    """Some more closed ledgers were read and decoded; `raw_bytes` is their size as XDR."""

    ledgers: int
    raw_bytes: int


@dataclass(frozen=True)
class ChunkFinished:
    """The ledgers `first` to `last` are written and visible; `rows` are their rows by table."""

    first: int
    last: int
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LedgerReadFrom:
    """A ledger that is followed was read and decoded."""

    sequence: int


@dataclass(frozen=True)
class CursorHeld:
    """A commit came to its end: seconds that it held the cursor, stuck holders ended, records put in quarantine."""

    seconds: float
    ended_holders: int = 0
    quarantined: int = 0


@dataclass(frozen=True)
class NodeTransition:
    """A following node went from one state to another; `failed` if an error made it."""

    former: str
    following: str
    failed: bool = False


@dataclass(frozen=True)
class LedgerCommitted:
    """A ledger is in the database.

    Attributes:
        sequence: ledger sequence.
        leader: this node wrote it.
        close_time: when the network closed it, seconds since 1970; None if it was not decoded.
        transactions: its transactions; None if they were not decoded.
    """

    sequence: int
    leader: bool
    close_time: int | None
    transactions: int | None

    @classmethod
    def of(cls, unit: LedgerUnit, *, leader: bool) -> LedgerCommitted:
        """Take the facts out of a ledger's unit."""
        header = unit.decoded["ledgers"]

        def fact(name: str) -> int | None:
            return int(header.column(name)[0].as_py()) if name in header.schema.names else None

        return cls(unit.last_ledger, leader, fact("close_time"), fact("transaction_count"))


@dataclass(frozen=True)
class StateVerified:
    """The state of a checkpoint was compared with the archive.

    Attributes:
        checkpoint: ledger of both.
        outcome: ``sound``, ``mismatch``, ``failed`` or ``cancelled``.
        seconds: how long it took.
        entries: ledger entries of the archive, by entry table.
    """

    checkpoint: int
    outcome: str
    seconds: float
    entries: Mapping[str, int] = field(default_factory=dict)


ProgressEvent = (
    BuildStarted
    | BucketProgress
    | RangeFinished
    | PublishStarted
    | BuildFinished
    | LedgersRead
    | ChunkFinished
    | LedgerReadFrom
    | LedgerCommitted
    | CursorHeld
    | NodeTransition
    | OrderBooksMoved
    | OrderBooksWritten
    | StateVerified
)
Listener = Callable[[ProgressEvent], None]

_SECONDS_BETWEEN_EVENTS = 0.2
_LOG = logging.getLogger(__name__)

_listeners: tuple[Listener, ...] = ()
_lock = threading.Lock()


@contextmanager
def subscribe(listener: Listener) -> Iterator[None]:
    """Hands every event that is published in this process to `listener` until the block ends.

    The listener is called in the thread of the publisher, so it has to be quick and thread-safe. Workers in other
    processes publish into their own registry: there is no progress from them, only Beam's counters.
    """
    global _listeners  # noqa: PLW0603 - one registry per process is the point of this module
    with _lock:
        _listeners = (*_listeners, listener)
    try:
        yield
    finally:
        with _lock:
            remaining = list(_listeners)
            remaining.remove(listener)
            _listeners = tuple(remaining)


def publish(event: ProgressEvent) -> None:
    """Tells every subscriber of this process about `event`; free when there is none."""
    for listener in _listeners:
        listener(event)


class BucketCounter:
    """Counts the compressed bytes that a reader takes from its buckets and publishes them, some times a second.

    One counter belongs to one streaming merge, which calls it from one thread.
    """

    def __init__(
        self,
        buckets_total: int,
        sizes: Sequence[int | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Creates a counter.

        Args:
            buckets_total: buckets that the merge reads.
            sizes: their compressed sizes in bytes by source; None where the archive does not tell: the total is
                then 0 until all such buckets are at their end.
            clock: seconds, for the pace of the events.
        """
        self._sizes: list[int | None] = list(sizes) if sizes is not None else [None] * buckets_total
        self._read = [0] * buckets_total
        self._buckets_done = 0
        self._clock = clock
        self._due = clock()

    def read(self, source: int, count: int) -> None:
        """Adds `count` bytes read from bucket number `source`; -1 tells that this bucket is at its end."""
        if count < 0:
            self._buckets_done += 1
            self._sizes[source] = self._read[source]
        else:
            self._read[source] += count
        now = self._clock()
        if now >= self._due or self._buckets_done == len(self._read):
            self._due = now + _SECONDS_BETWEEN_EVENTS
            publish(self._event())

    def _event(self) -> BucketProgress:
        total = 0 if None in self._sizes else sum(size or 0 for size in self._sizes)
        return BucketProgress(sum(self._read), total, self._buckets_done, len(self._read))


def report_algebra(count: int, warnings: Sequence[tuple[str, str, str, str]]) -> None:
    """Warns once about records that break the INIT rule of the bucket list, and counts them.

    Args:
        count: how many such pairs were met.
        warnings: the first of them: newer bucket, older bucket, key in hex, text.
    """
    if count == 0:
        return
    shown = "; ".join(f"{text} (key {key}, bucket {newer} over {older})" for newer, older, key, text in warnings[:3])
    _LOG.warning(
        "%d ledger keys break the INIT rule of the bucket list; the newest bucket wins. First: %s", count, shown
    )
    from apache_beam.metrics import Metrics

    Metrics.counter("aurora_ingest", "bucket_algebra_warnings").inc(count)


class LoggingStateReporter:
    """Logs the reading of a history archive snapshot with the original's messages and fields.

    Entries arrive in batches here, so a line is due whenever the count passes the next multiple of the interval; the
    line carries the exact count. One reporter belongs to one reader, which calls it from one thread at a time.
    """

    def __init__(self, log: Log, interval: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        """Creates a reporter.

        Args:
            log: receives the lines; the fields travel in `extra`.
            interval: entries between two progress lines, at least 1.
            clock: seconds, for `duration`.

        Raises:
            ValueError: the interval is not positive.
        """
        if interval < 1:
            msg = f"interval of the state reporter: expected at least 1 entry, got {interval}"
            raise ValueError(msg)
        self._log = log
        self._interval = interval
        self._clock = clock
        self._sequence = 0
        self._entries = 0
        self._started = clock()

    def on_start_state(self, sequence: int) -> None:
        """Starts the count for the snapshot at ledger `sequence`."""
        self._log.info("Reading from History Archive Snapshot", extra={"sequence": sequence})
        self._entries = 0
        self._sequence = sequence
        self._started = self._clock()

    def restore(self, sequence: int, entries: int, started: float) -> None:
        """Goes on with a count that was kept elsewhere, such as in Beam state.

        Args:
            sequence: ledger of the snapshot.
            entries: entries counted so far.
            started: reading of this reporter's clock at the start.
        """
        self._sequence = sequence
        self._entries = entries
        self._started = started

    def on_state_entries(self, count: int) -> None:
        """Adds `count` entries that were read at the source, before any filter."""
        before = self._entries // self._interval
        self._entries += count
        if self._entries // self._interval > before:
            self._log.info(
                "Processing entries from History Archive Snapshot",
                extra={"sequence": self._sequence, "numEntries": self._entries},
            )

    def on_end_state(self, error: BaseException | None = None, *, shutdown: bool = False) -> None:
        """Ends the snapshot: an ERROR line when `error` is given, else an INFO line.

        A shutdown in the middle may end a snapshot twice (first with shutdown, then without), as in the original.
        """
        fields: dict[str, object] = {
            "sequence": self._sequence,
            "numEntries": self._entries,
            "shutdown": shutdown,
            "duration": self._clock() - self._started,
        }
        if error is not None:
            self._log.error("Error processing History Archive Snapshot", extra={**fields, "error": str(error)})
        else:
            self._log.info("Finished processing History Archive Snapshot", extra=fields)


class LoggingLedgerReporter:
    """Logs every ledger that a node follows with the original's messages and fields.

    Several ledgers may be under way at once: what is known of each is kept until its end.
    """

    def __init__(self, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        """Creates a reporter.

        Args:
            log: receives the lines; the fields travel in `extra`.
            clock: seconds, for `duration`.
        """
        self._log = log
        self._clock = clock
        self._started: dict[int, float] = {}

    def __call__(self, event: ProgressEvent) -> None:
        """Takes an event of a following node."""
        if isinstance(event, LedgerReadFrom):
            self.on_new_ledger(event.sequence)
        elif isinstance(event, LedgerCommitted):
            self.on_end_ledger(event.sequence, event.transactions or 0)

    def on_new_ledger(self, sequence: int) -> None:
        """Starts the clock of a ledger."""
        self._log.info("Reading new ledger", extra={"sequence": sequence})
        self._started[sequence] = self._clock()

    def on_end_ledger(
        self, sequence: int, transactions: int, error: BaseException | None = None, *, shutdown: bool = False
    ) -> None:
        """Ends a ledger: an ERROR line when `error` is given, else an INFO line.

        Args:
            sequence: the ledger.
            transactions: transactions that were read of it, failed ones too.
            error: why it could not be processed.
            shutdown: the node stops.
        """
        now = self._clock()
        fields = {
            "sequence": sequence,
            "transactions": transactions,
            "shutdown": shutdown,
            "duration": round(now - self._started.pop(sequence, now), 3),
        }
        if error is not None:
            self._log.error("Error processing ledger", extra={**fields, "error": str(error)})
        else:
            self._log.info("Finished processing ledger", extra=fields)
