"""Progress of a build on standard error: a bar on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aurora_ingest.transforms.metrics import (
    BucketProgress,
    BuildFinished,
    BuildStarted,
    ProgressEvent,
    PublishStarted,
    RangeFinished,
    subscribe,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LOG = logging.getLogger("aurora_ingest.progress")
_SECONDS_BETWEEN_LINES = 5.0


class BuildProgress:
    """What is known of a running build; the sum of its events.

    Attributes:
        buckets: how far the buckets have been read, None before the first news.
        entries: live entries in finished units.
        units: finished units of work.
        publishing: the swap into the visible tables has begun.
        rows: rows by table once the build is visible, else None.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts with nothing known; `clock` gives seconds."""
        self.buckets: BucketProgress | None = None
        self.entries = 0
        self.units = 0
        self.publishing = False
        self.rows: dict[str, int] | None = None
        self._clock = clock
        self._started = clock()
        self._lock = threading.Lock()

    def take(self, event: ProgressEvent) -> None:
        """Adds one event; may be called from any thread."""
        with self._lock:
            if isinstance(event, BuildStarted):
                self.buckets = BucketProgress(0, event.bytes_total, 0, event.buckets_total)
                self._started = self._clock()
            elif isinstance(event, BucketProgress):
                self.buckets = event
            elif isinstance(event, RangeFinished):
                self.entries += event.entries
                self.units += 1
            elif isinstance(event, PublishStarted):
                self.publishing = True
            elif isinstance(event, BuildFinished):
                self.rows = dict(event.rows)

    def entries_per_second(self) -> float:
        """Returns live entries in finished units per second since the start."""
        return self.entries / max(self._clock() - self._started, 1e-9)

    def share(self) -> float | None:
        """Returns the part of the buckets that was read, 0 to 1; None while their size is unknown."""
        if self.buckets is None or self.buckets.bytes_total <= 0:
            return None
        return min(self.buckets.bytes_done / self.buckets.bytes_total, 1.0)

    def seconds_left(self) -> float | None:
        """Returns the time that reading will still take at the pace so far; None when there is no telling."""
        share = self.share()
        if not share:
            return None
        return (self._clock() - self._started) * (1 - share) / share

    def fields(self) -> dict[str, object]:
        """Returns the numbers of one plain line, by field name."""
        fields: dict[str, object] = {
            "entries": self.entries,
            "entriesPerSecond": round(self.entries_per_second()),
            "units": self.units,
        }
        if self.buckets is not None:
            fields["buckets"] = f"{self.buckets.buckets_done}/{self.buckets.buckets_total}"
            fields["bytes"] = self.buckets.bytes_done
        share, left = self.share(), self.seconds_left()
        if share is not None:
            fields["percent"] = round(100 * share)
        if left is not None:
            fields["secondsLeft"] = round(left)
        return fields


@contextmanager
def show_progress(*, bar: bool | None = None) -> Iterator[BuildProgress]:
    """Shows the events of this process until the block ends and hands out what they add up to.

    Args:
        bar: a bar (True) or plain lines (False); None looks whether standard error is a terminal.
    """
    progress = BuildProgress()
    shown = _bar(progress) if (sys.stderr.isatty() if bar is None else bar) else _lines(progress)
    with shown as listener, subscribe(listener):
        yield progress


@contextmanager
def _lines(progress: BuildProgress) -> Iterator[Callable[[ProgressEvent], None]]:
    due = [time.monotonic() + _SECONDS_BETWEEN_LINES]

    def listen(event: ProgressEvent) -> None:
        progress.take(event)
        if isinstance(event, PublishStarted):
            _LOG.info("Publishing", extra=progress.fields())
        elif isinstance(event, BuildFinished):
            _LOG.info("Published", extra={"sequence": event.checkpoint, "rows": sum(event.rows.values())})
        elif time.monotonic() >= due[0]:
            due[0] = time.monotonic() + _SECONDS_BETWEEN_LINES
            _LOG.info("Building state", extra=progress.fields())

    yield listen


@contextmanager
def _bar(progress: BuildProgress) -> Iterator[Callable[[ProgressEvent], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[buckets]} buckets  {task.fields[speed]:,} entries/s"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("Reading", total=None, buckets="0", speed=0)

        def listen(event: ProgressEvent) -> None:
            progress.take(event)
            _draw(shown, task, progress)

        yield listen


def _draw(shown: Progress, task: TaskID, progress: BuildProgress) -> None:
    buckets = progress.buckets
    shown.update(
        task,
        description="Publishing" if progress.publishing else "Reading",
        total=(buckets.bytes_total or None) if buckets else None,
        completed=buckets.bytes_done if buckets else 0,
        buckets=f"{buckets.buckets_done}/{buckets.buckets_total}" if buckets else "0",
        speed=round(progress.entries_per_second()),
    )
