"""Ranges of ledgers against sets of numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.errors import UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.network import UINT32_MAX

_RANGES = st.tuples(st.integers(1, 300), st.integers(0, 200)).map(lambda pair: LedgerRange(pair[0], sum(pair)))


@given(_RANGES, st.integers(-5, 600))
def test_a_range_is_its_ledgers(ledgers: LedgerRange, ledger: int) -> None:
    listed = list(ledgers)
    assert listed == list(range(ledgers.first, ledgers.last + 1))
    assert len(ledgers) == len(listed)
    assert (ledger in ledgers) == (ledger in listed)
    assert str(ledger) not in ledgers  # a text is no ledger


@given(_RANGES, _RANGES)
def test_an_intersection_is_that_of_the_sets(one: LedgerRange, other: LedgerRange) -> None:
    both = one.intersection(other)
    assert set(both or ()) == set(one) & set(other)
    assert both == other.intersection(one)


@given(_RANGES, _RANGES)
def test_ranges_meet_without_hole_or_overlap(one: LedgerRange, other: LedgerRange) -> None:
    assert one.meets(other) == ([*one, *other] == list(range(one.first, other.last + 1)))


def test_a_range_meets_the_next_one_only() -> None:
    assert LedgerRange(1, 63).meets(LedgerRange(64, 64))
    assert not LedgerRange(1, 63).meets(LedgerRange(65, 70))
    assert not LedgerRange(1, 63).meets(LedgerRange(63, 70))


@given(_RANGES, st.integers(1, 100))
def test_chunks_cover_the_range_and_are_cut_at_multiples(ledgers: LedgerRange, size: int) -> None:
    chunks = list(ledgers.chunks(size))
    assert [ledger for chunk in chunks for ledger in chunk] == list(ledgers)
    assert all(before.meets(after) for before, after in pairwise(chunks))
    assert all(chunk.first // size == chunk.last // size for chunk in chunks)
    assert all(chunk.first % size == 0 for chunk in chunks[1:])


@given(_RANGES, _RANGES, st.integers(1, 50))
def test_overlapping_ranges_are_cut_at_the_same_places(one: LedgerRange, other: LedgerRange, size: int) -> None:
    both = one.intersection(other)
    if both is not None:
        cuts = [{chunk.first for chunk in ledgers.chunks(size)} for ledgers in (one, other)]
        inside = set(both) - {one.first, other.first}
        assert cuts[0] & inside == cuts[1] & inside


def test_chunks_of_the_last_ledgers_end() -> None:
    top = UINT32_MAX
    assert list(LedgerRange(top - 1, top).chunks(64)) == [LedgerRange(top - 1, top)]


@pytest.mark.parametrize("size", [0, -1])
def test_chunks_of_nothing_are_refused(size: int) -> None:
    with pytest.raises(UsageError, match="chunk size"):
        list(LedgerRange(1, 2).chunks(size))


@pytest.mark.parametrize(
    "first,last,message",
    [
        (0, 5, "0-5 starts below ledger 1"),
        (-3, 5, "starts below"),
        (6, 5, "6-5 ends before it starts"),
        (1, UINT32_MAX + 1, "ends above ledger 4294967295"),
    ],
)
def test_what_is_no_range_is_refused(first: int, last: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LedgerRange(first, last)


def test_a_range_reads_as_people_write_it() -> None:
    assert str(LedgerRange(5, 9)) == "5-9"
    assert str(LedgerRange(5, 5)) == "5"
    assert sorted([LedgerRange(2, 3), LedgerRange(1, 9), LedgerRange(1, 2)]) == [
        LedgerRange(1, 2),
        LedgerRange(1, 9),
        LedgerRange(2, 3),
    ]
