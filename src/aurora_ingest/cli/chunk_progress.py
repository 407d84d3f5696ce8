"""Progress of chunks on standard error: a bar on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aurora_ingest.transforms.metrics import ChunkFinished, LedgersRead, ProgressEvent, subscribe

_LOG = logging.getLogger("aurora_ingest.progress")
_SECONDS_BETWEEN_LINES = 5.0


class ChunkProgress:
    """What is known of a running reingest; the sum of its events.

    Attributes:
        total: chunks to write.
        chunks: chunks that are written.
        ledgers: ledgers that were read.
        raw_bytes: their size as XDR.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts with nothing known; `clock` gives seconds."""
        self.total = total
        self.chunks = 0
        self.ledgers = 0
        self.raw_bytes = 0
        self._rows: Counter[str] = Counter()
        self._clock = clock
        self._started = clock()
        self._lock = threading.Lock()

    def take(self, event: ProgressEvent) -> None:
        """Adds one event; may be called from any thread."""
        with self._lock:
            if isinstance(event, LedgersRead):
                self.ledgers += event.ledgers
                self.raw_bytes += event.raw_bytes
            elif isinstance(event, ChunkFinished):
                self.chunks += 1
                self._rows.update(event.rows)

    @property
    def rows(self) -> dict[str, int]:
        """Rows of the written chunks by table."""
        return dict(self._rows)

    def fields(self) -> dict[str, object]:
        """Returns the numbers of one plain line, by field name."""
        seconds = max(self._clock() - self._started, 1e-9)
        return {
            "chunks": f"{self.chunks}/{self.total}",
            "ledgers": self.ledgers,
            "ledgersPerSecond": round(self.ledgers / seconds),
            "bytes": self.raw_bytes,
            "rows": sum(self._rows.values()),
        }


@contextmanager
def show_chunks(
    total: int, *, bar: bool | None = None, doing: str = "Writing history", done: str = "History written"
) -> Iterator[ChunkProgress]:
    """Shows the events of this process until the block ends and hands out what they add up to.

    Args:
        total: chunks to work on.
        bar: a bar (True) or plain lines (False); None looks whether standard error is a terminal.
        doing: what is being done.
        done: what has been done at the end.
    """
    progress = ChunkProgress(total)
    draws = sys.stderr.isatty() if bar is None else bar
    shown = _bar(progress, doing) if draws else _lines(progress, doing, done)
    with shown as listener, subscribe(listener):
        yield progress


@contextmanager
def _lines(progress: ChunkProgress, doing: str, done: str) -> Iterator[Callable[[ProgressEvent], None]]:
    due = [time.monotonic() + _SECONDS_BETWEEN_LINES]

    def listen(event: ProgressEvent) -> None:
        progress.take(event)
        if time.monotonic() >= due[0]:
            due[0] = time.monotonic() + _SECONDS_BETWEEN_LINES
            _LOG.info(doing, extra=progress.fields())

    yield listen
    _LOG.info(done, extra=progress.fields())


@contextmanager
def _bar(progress: ChunkProgress, doing: str) -> Iterator[Callable[[ProgressEvent], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn(doing),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed}/{task.total} chunks  {task.fields[ledgers]:,} ledgers"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(doing, total=progress.total, ledgers=0)

        def listen(event: ProgressEvent) -> None:
            progress.take(event)
            shown.update(task, completed=progress.chunks, ledgers=progress.ledgers)

        yield listen
