from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from aurora_ingest.errors import MissingLedgersError, StateError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import RawLedger
from aurora_ingest.transforms.ledger_feed import LedgerFeed


class _Source:
    """Ledgers of three bytes each up to a newest one, which a test can raise."""

    name = "test"

    def __init__(self, newest: int, *, repeatable: bool = True, ends: bool = False) -> None:
        self.newest = newest
        self.repeatable = repeatable
        self.ends = ends
        self.fault: Exception | None = None
        self.begun: list[int] = []
        self.given = 0

    def describe(self) -> str:
        return "the test's source"

    def has_genesis(self) -> bool:
        return False

    def check(self, ledgers: LedgerRange) -> None:
        """Finds nothing wrong."""

    def available(self) -> LedgerRange | None:
        return LedgerRange(2, self.newest)

    def read(self, ledgers: LedgerRange) -> Iterator[RawLedger]:
        raise AssertionError("a feed follows")

    def follow(self, first: int, stop: Callable[[], bool]) -> Iterator[RawLedger]:
        self.begun.append(first)
        ledger = first
        while not stop():
            if self.fault is not None:
                fault, self.fault = self.fault, None
                raise fault
            if ledger <= self.newest:
                self.given += 1
                yield RawLedger(ledger, b"abc", "test")
                ledger += 1
            elif self.ends:
                return
            else:
                time.sleep(0.002)


def _sequences(feed: LedgerFeed, first: int, most: int = 100, most_bytes: int = 1 << 20) -> list[int]:
    return [raw.sequence for raw in feed.take(first, most, most_bytes)]


def test_what_is_there_is_given_and_nothing_is_waited_for() -> None:
    with LedgerFeed(_Source(10)) as feed:
        assert feed.wait(5, 5)
        for _ in range(500):
            if feed.newest == 10:
                break
            time.sleep(0.005)
        assert _sequences(feed, 5) == [5, 6, 7, 8, 9, 10]
        assert _sequences(feed, 5, most=2) == [5, 6]
        assert _sequences(feed, 5, most_bytes=4) == [5, 6]
        assert _sequences(feed, 8) == [8, 9, 10]
        assert _sequences(feed, 11) == []
        assert not feed.wait(11, 0.01)


def test_the_next_ledger_wakes_who_waits() -> None:
    source = _Source(4)
    with LedgerFeed(source) as feed:
        timer = threading.Timer(0.05, lambda: setattr(source, "newest", 5))
        timer.start()
        began = time.monotonic()
        assert feed.wait(5, 10)
        assert time.monotonic() - began < 5
        timer.join()


def test_ledgers_can_be_taken_again_until_later_ones_are_asked_for() -> None:
    source = _Source(9, repeatable=False)
    with LedgerFeed(source) as feed:
        assert feed.wait(3, 5)
        assert _sequences(feed, 3, most=1) == _sequences(feed, 3, most=1) == [3]
        assert feed.wait(4, 5)
        with pytest.raises(StateError, match="the test's source cannot be read again from ledger 3 on"):
            feed.take(3, 1, 1)
        assert source.begun == [3]


def test_a_source_that_can_be_read_again_is_read_from_another_place() -> None:
    source = _Source(9)
    with LedgerFeed(source) as feed:
        assert feed.wait(6, 5)
        assert feed.wait(3, 5)
        assert _sequences(feed, 3, most=1) == [3]
        assert source.begun == [6, 3]


def test_memory_is_bounded() -> None:
    source = _Source(10_000)
    with LedgerFeed(source, ahead_bytes=30) as feed:
        assert feed.wait(2, 5)
        time.sleep(0.05)
        assert source.given <= 11
        assert feed.wait(500, 5)
        time.sleep(0.05)
        assert source.given <= 510


def test_trouble_is_told_once_and_then_tried_again() -> None:
    source = _Source(9)
    source.fault = MissingLedgersError("a hole", [LedgerRange(3, 3)])
    with LedgerFeed(source) as feed:
        with pytest.raises(MissingLedgersError, match="a hole"):
            feed.wait(3, 5)
        assert feed.wait(3, 5)
        assert source.begun == [3, 3]


def test_trouble_of_a_source_that_cannot_be_read_again_stays() -> None:
    source = _Source(9, repeatable=False)
    source.fault = MissingLedgersError("cut off", [LedgerRange(3, 3)])
    with LedgerFeed(source) as feed:
        for _ in range(2):
            with pytest.raises(MissingLedgersError, match="cut off"):
                feed.wait(3, 5)
        assert source.begun == [3]


def test_the_end_of_a_stream_is_known_when_all_is_taken() -> None:
    with LedgerFeed(_Source(4, ends=True)) as feed:
        assert feed.wait(3, 5)
        assert not feed.has_ended
        assert feed.wait(4, 5)
        assert not feed.wait(5, 5)
        assert feed.has_ended
