"""Fetching ahead: in order, in parallel, within its bounds, and done when nobody listens any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.ledger_backend.prefetch import prefetched


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 5), st.integers(1, 60))
def test_everything_comes_once_and_in_order(sizes: list[int], workers: int, buffer: int) -> None:
    items = list(enumerate(sizes))
    found = list(prefetched(items, lambda item: b"x" * item[1], len, workers, buffer))
    assert found == [(item, b"x" * item[1]) for item in items]


def test_fetches_overlap_but_for_the_bound_on_workers() -> None:
    lock, running, most = threading.Lock(), [0], [0]

    def fetch(item: int) -> bytes:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.005)
        with lock:
            running[0] -= 1
        return b"x"

    assert len(list(prefetched(range(40), fetch, len, 4, 1 << 20))) == 40
    assert 2 <= most[0] <= 4


@pytest.mark.parametrize("buffer, most", [(300, 3), (99, 1), (1000, 10)])
def test_bytes_that_wait_are_bounded(buffer: int, most: int) -> None:
    begun: list[int] = []

    def fetch(item: int) -> bytes:
        begun.append(item)
        return b"x" * 100

    for place, (item, _) in enumerate(prefetched(range(50), fetch, len, 8, buffer)):
        assert item == place
        time.sleep(0.002)
        # The first ones are begun before anything is known of their size.
        assert len(begun) - place - 1 <= (most if place >= 8 else max(most, 8))


def test_a_failure_comes_in_its_turn() -> None:
    def fetch(item: int) -> bytes:
        if item == 7:
            raise ValueError("seven")
        return b"%d" % item

    found: list[int] = []
    with pytest.raises(ValueError, match="seven"):
        found.extend(item for item, _ in prefetched(range(20), fetch, len, 4, 1 << 20))
    assert found == list(range(7))


def test_a_failure_of_the_items_comes_after_what_was_begun() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("no more")

    done: list[int] = []

    def fetch(item: int) -> bytes:
        time.sleep(0.005)
        done.append(item)
        return b""

    found: list[int] = []
    with pytest.raises(ValueError, match="no more"):
        found.extend(item for item, _ in prefetched(items(), fetch, len, 3, 1 << 20))
    assert found == sorted(done) == list(range(5))


def test_who_stops_listening_stops_the_fetching() -> None:
    begun: list[int] = []

    def fetch(item: int) -> bytes:
        begun.append(item)
        time.sleep(0.001)
        return b""

    before = threading.active_count()
    ahead = prefetched(range(1000), fetch, len, 3, 1 << 20)
    next(ahead)
    ahead.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(begun) < 20
    assert threading.active_count() == before
