"""The state reporter's lines and the progress registry."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.transforms import metrics

_STANDARD = set(vars(logging.makeLogRecord({})))


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        self.lines.append((record.levelname, record.getMessage(), fields))


def _reporter(interval: int, clock: list[float] | None = None) -> tuple[metrics.LoggingStateReporter, _Lines]:
    log = logging.Logger("reporter", logging.INFO)  # noqa: LOG001 - private to the test, outside the logger tree
    lines = _Lines()
    log.addHandler(lines)
    times = iter(clock or [0.0] * 10)
    return metrics.LoggingStateReporter(log, interval, clock=lambda: next(times)), lines


def test_messages_and_fields_of_a_snapshot() -> None:
    reporter, lines = _reporter(2, [0.0, 10.0, 12.5])
    reporter.on_start_state(63)
    for _ in range(5):
        reporter.on_state_entries(1)
    reporter.on_end_state(None, shutdown=False)
    assert lines.lines == [
        ("INFO", "Reading from History Archive Snapshot", {"sequence": 63}),
        ("INFO", "Processing entries from History Archive Snapshot", {"sequence": 63, "numEntries": 2}),
        ("INFO", "Processing entries from History Archive Snapshot", {"sequence": 63, "numEntries": 4}),
        (
            "INFO",
            "Finished processing History Archive Snapshot",
            {"sequence": 63, "numEntries": 5, "shutdown": False, "duration": 2.5},
        ),
    ]


def test_an_error_ends_the_snapshot_at_error_level() -> None:
    reporter, lines = _reporter(10, [0.0, 1.0, 2.0])
    reporter.on_start_state(127)
    reporter.on_end_state(ValueError("bucket broken"), shutdown=True)
    assert lines.lines[-1] == (
        "ERROR",
        "Error processing History Archive Snapshot",
        {"sequence": 127, "numEntries": 0, "shutdown": True, "duration": 1.0, "error": "bucket broken"},
    )


def test_a_new_snapshot_counts_from_zero() -> None:
    reporter, lines = _reporter(3)
    reporter.on_start_state(7)
    reporter.on_state_entries(2)
    reporter.on_start_state(15)
    reporter.on_state_entries(2)
    assert [message for _, message, _ in lines.lines] == ["Reading from History Archive Snapshot"] * 2


@given(st.integers(1, 50), st.lists(st.integers(0, 200), max_size=40))
def test_a_line_whenever_the_count_passes_the_next_multiple(interval: int, batches: list[int]) -> None:
    reporter, lines = _reporter(interval)
    reporter.on_start_state(63)
    total, due = 0, []
    for batch in batches:
        passed = any((total + step) % interval == 0 for step in range(1, batch + 1))
        total += batch
        reporter.on_state_entries(batch)
        if passed:
            due.append(total)
    assert [fields["numEntries"] for _, _, fields in lines.lines[1:]] == due


@pytest.mark.parametrize("interval", [0, -1])
def test_an_interval_below_one_is_refused(interval: int) -> None:
    with pytest.raises(ValueError, match="expected at least 1 entry"):
        _reporter(interval)


def test_events_reach_every_subscriber_until_its_block_ends() -> None:
    first: list[metrics.ProgressEvent] = []
    second: list[metrics.ProgressEvent] = []
    event = metrics.RangeFinished(0, 5, {"accounts": 5})
    with metrics.subscribe(first.append):
        with metrics.subscribe(second.append):
            metrics.publish(event)
        metrics.publish(metrics.PublishStarted(63))
    metrics.publish(metrics.BuildFinished(63))
    assert first == [event, metrics.PublishStarted(63)]
    assert second == [event]


def test_a_failing_block_unsubscribes() -> None:
    seen: list[metrics.ProgressEvent] = []

    def fail() -> None:
        with metrics.subscribe(seen.append):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    metrics.publish(metrics.PublishStarted(63))
    assert seen == []


def _progress(counter: metrics.BucketCounter, reads: list[tuple[int, int]]) -> list[metrics.ProgressEvent]:
    seen: list[metrics.ProgressEvent] = []
    with metrics.subscribe(seen.append):
        for source, count in reads:
            counter.read(source, count)
    return seen


def test_bucket_progress_counts_bytes_and_buckets() -> None:
    clock = iter(range(100))
    counter = metrics.BucketCounter(2, [10, 5], clock=lambda: next(clock))
    assert _progress(counter, [(0, 4), (1, 5), (1, -1), (0, 6), (0, -1)]) == [
        metrics.BucketProgress(4, 15, 0, 2),
        metrics.BucketProgress(9, 15, 0, 2),
        metrics.BucketProgress(9, 15, 1, 2),
        metrics.BucketProgress(15, 15, 1, 2),
        metrics.BucketProgress(15, 15, 2, 2),
    ]


def test_bucket_progress_does_not_know_the_total_before_every_size_is_known() -> None:
    clock = iter(range(100))
    counter = metrics.BucketCounter(2, [None, 5], clock=lambda: next(clock))
    assert _progress(counter, [(0, 4), (0, -1)]) == [
        metrics.BucketProgress(4, 0, 0, 2),
        metrics.BucketProgress(4, 9, 1, 2),
    ]


def test_bucket_progress_is_told_some_times_a_second_and_at_the_end() -> None:
    times = iter([0.0, 0.0, 0.05, 0.1, 0.15, 0.16])
    counter = metrics.BucketCounter(1, [4], clock=lambda: next(times))
    seen = _progress(counter, [(0, 1), (0, 1), (0, 1), (0, 1), (0, -1)])
    assert seen == [metrics.BucketProgress(1, 4, 0, 1), metrics.BucketProgress(4, 4, 1, 1)]


def test_algebra_warnings_make_one_line(caplog: pytest.LogCaptureFixture) -> None:
    metrics.report_algebra(0, [])
    metrics.report_algebra(7, [("aa", "bb", "00ff", "INIT over LIVE")])
    (line,) = (record.getMessage() for record in caplog.records if record.name == metrics.__name__)
    assert line.startswith("7 ledger keys break the INIT rule of the bucket list; the newest bucket wins. ")
    assert line.endswith("First: INIT over LIVE (key 00ff, bucket aa over bb)")
