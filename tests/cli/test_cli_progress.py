"""What a build's events add up to, and how it is shown."""

from __future__ import annotations

import logging

import pytest

from aurora_ingest.cli import progress as cli_progress
from aurora_ingest.transforms.metrics import (
    BucketProgress,
    BuildFinished,
    BuildStarted,
    PublishStarted,
    RangeFinished,
    publish,
)


def test_nothing_is_known_at_first() -> None:
    progress = cli_progress.BuildProgress()
    assert progress.share() is None
    assert progress.seconds_left() is None
    assert progress.rows is None


def test_events_add_up_to_speed_and_time_left() -> None:
    times = iter([0.0, 100.0, 110.0, 110.0])
    progress = cli_progress.BuildProgress(clock=lambda: next(times))
    progress.take(BuildStarted(63, 2, 1000))
    progress.take(BucketProgress(250, 1000, 1, 2))
    progress.take(RangeFinished(0, 3000, {"accounts": 3000}))
    progress.take(RangeFinished(1, 2000, {}))
    assert progress.share() == 0.25
    assert progress.entries_per_second() == 500.0
    assert progress.seconds_left() == 30.0
    progress.take(PublishStarted(63))
    progress.take(BuildFinished(63, {"accounts": 3000}))
    assert progress.publishing
    assert progress.rows == {"accounts": 3000}


def test_an_unknown_size_gives_no_time_left() -> None:
    progress = cli_progress.BuildProgress()
    progress.take(BucketProgress(250, 0, 1, 2))
    assert progress.share() is None
    assert progress.fields()["buckets"] == "1/2"
    assert "secondsLeft" not in progress.fields()


def test_plain_lines_without_a_terminal(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO, "aurora_ingest"), cli_progress.show_progress(bar=False) as progress:
        publish(BucketProgress(5, 10, 0, 1))
        publish(RangeFinished(0, 7, {}))
        publish(PublishStarted(63))
        publish(BuildFinished(63, {"accounts": 7}))
    assert [record.getMessage() for record in caplog.records] == [
        "Building state",
        "Building state",
        "Publishing",
        "Published",
    ]
    assert vars(caplog.records[1])["entries"] == 7
    assert vars(caplog.records[3])["rows"] == 7
    assert progress.rows == {"accounts": 7}


def test_lines_keep_their_distance(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "aurora_ingest"), cli_progress.show_progress(bar=False):
        for index in range(100):
            publish(RangeFinished(index, 1, {}))
    assert caplog.records == []


def test_a_bar_is_drawn_on_standard_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with cli_progress.show_progress(bar=True) as progress:
        publish(BuildStarted(63, 2, 1000))
        publish(BucketProgress(250, 1000, 1, 2))
        publish(PublishStarted(63))
    output = capsys.readouterr()
    assert "1/2 buckets" in output.err
    assert output.out == ""
    assert progress.publishing
