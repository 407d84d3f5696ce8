"""Books of single pairs: whatever the order in which bootstraps and changes come, and however often, the levels are
those of a book that is added up anew after every ledger.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_ingest import _kernel
from aurora_ingest.errors import StateError
from aurora_ingest.transforms import pair_books
from aurora_ingest.transforms.order_book_levels import SCHEMA, SQL_SCHEMA, gathered, level_batch
from aurora_ingest.transforms.pair_books import (
    EMPTY_BOOK,
    Pair,
    PairBook,
    PairChanges,
    PairElement,
    PairElementCoder,
    PairLevels,
    PairState,
    PairStateCoder,
    PairStep,
    advance,
    books_of,
    changed_pairs,
)
from orderbook.changed_units import change_unit
from orderbook.order_books import OTHER, Offer, Pool, asset, offer_rows, pool_rows
from orderbook.plain_levels import PlainState

_ASSETS = (asset("native"), asset("A"), asset("A", OTHER), asset("LONGCODE"))
_START = 10
_DEPTH = 2

_prices = st.sampled_from([(1, 1), (2, 2), (1, 2), (2, 4), (3, 1), (2**31 - 1, 1), (1, 2**31 - 1)])
_amounts = st.one_of(st.integers(1, 5), st.just(2**63 - 1))
_sides = st.permutations(_ASSETS).map(lambda assets: assets[:2])


@st.composite
def _states(draw: st.DrawFn) -> PlainState:
    state = PlainState()
    for offer_id in draw(st.sets(st.integers(1, 12))):
        (selling, buying), (n, d) = draw(_sides), draw(_prices)
        state.offers[offer_id] = Offer(offer_id, selling, buying, n, d, draw(_amounts))
    for number in draw(st.sets(st.integers(0, 2))):
        pool_id = f"{number:064x}"
        reserves = draw(st.integers(0, 9)), draw(st.integers(0, 9))
        state.pools[pool_id] = Pool(pool_id, _ASSETS[number], _ASSETS[number + 1], *reserves)
    return state


def _changes(before: PlainState, after: PlainState, ledger: int) -> dict[Pair, bytes]:
    changed = changed_pairs(change_unit(ledger, before, after))
    columns = (changed.column(name).to_pylist() for name in ("base_asset", "counter_asset", "change"))
    return {(base, counter): change for base, counter, change in zip(*columns, strict=True)}


def _elements(states: list[PlainState], parts: int) -> list[tuple[Pair, PairElement]]:
    """A bootstrap of all pairs that are ever there, in parts, and the changes of every ledger after it."""
    start, known = states[0], {pair: _START for state in states for pair in state.pairs()}
    elements: list[tuple[Pair, PairElement]] = []
    for part in range(parts):
        offers = [offer for offer in start.offers.values() if offer.offer_id % parts == part]
        pools = list(start.pools.values()) if part == 0 else []
        books = books_of(offer_rows(offers), pool_rows(pools))
        elements += [(pair, PairBook(1, _START, part, parts, books.get(pair, EMPTY_BOOK))) for pair in known]
    for ledger, (before, after) in enumerate(itertools.pairwise(states), _START + 1):
        for pair, change in _changes(before, after, ledger).items():
            elements.append((pair, PairChanges(1, (PairStep(ledger, known[pair], ledger * 5, change),))))
            known[pair] = ledger
    return elements


def _expected(states: list[PlainState]) -> dict[tuple[Pair, int], dict[str, Any]]:
    rows = {}
    for ledger, (before, after) in enumerate(itertools.pairwise(states), _START + 1):
        for pair in before.pairs() | after.pairs():
            if _contents(before, pair) != _contents(after, pair):
                rows[pair, ledger] = after.levels(pair, _DEPTH)
    return rows


def _contents(state: PlainState, pair: Pair) -> list[Any]:
    offers = [offer for offer in state.offers.values() if {offer.selling.key, offer.buying.key} == set(pair)]
    pools = [pool for pool in state.pools.values() if {pool.asset_a.key, pool.asset_b.key} == set(pair)]
    return [sorted(offers, key=lambda offer: offer.offer_id), pools]


def _fed(elements: list[tuple[Pair, PairElement]]) -> list[tuple[Pair, PairLevels]]:
    """All levels; state and elements go through their coders each time."""
    states: dict[Pair, bytes] = {}
    found = []
    for pair, element in elements:
        state = PairStateCoder().decode(states[pair]) if pair in states else PairState()
        encoded = PairElementCoder().encode(element)
        found += [(pair, levels) for levels in advance(pair, state, PairElementCoder().decode(encoded), _DEPTH)]
        states[pair] = PairStateCoder().encode(state)
    return found


@settings(max_examples=150, deadline=None)
@given(states=st.lists(_states(), min_size=2, max_size=6), parts=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_levels_do_not_depend_on_order_or_repetition(states: list[PlainState], parts: int, seed: int) -> None:
    elements = _elements(states, parts)
    shuffled = random.Random(seed)
    elements += shuffled.choices(elements, k=len(elements) // 2) if elements else []
    shuffled.shuffle(elements)
    found = _fed(elements)
    rows = level_batch(gathered(found)).to_pylist()
    expected = _expected(states)
    assert len(rows) == len(expected)
    for row in rows:
        pair, ledger = (row["base_asset"], row["counter_asset"]), row["ledger_sequence"]
        assert {name: row[name] for name in expected[pair, ledger]} == expected[pair, ledger]
        assert row["closed_at"] == dt.datetime.fromisoformat("1970-01-01") + dt.timedelta(seconds=ledger * 5)


def test_a_removal_that_comes_before_its_bootstrap_is_not_undone_by_it() -> None:
    before = PlainState({1: Offer(1, _ASSETS[0], _ASSETS[1], 1, 2, 5)})
    elements = _elements([before, PlainState()], 2)
    (pair, change), books = elements[-1], elements[:-1]
    state = PairState()
    assert advance(pair, state, change, _DEPTH) == []
    for _, book in books[:1]:
        assert advance(pair, state, book, _DEPTH) == []
    (levels,) = advance(pair, state, books[1][1], _DEPTH)
    assert level_batch(gathered([(pair, levels)])).to_pylist()[0]["ask_offers"] == 0
    assert state.book == EMPTY_BOOK
    assert not state.waiting


def test_a_newer_bootstrap_replaces_the_book_and_an_older_one_does_not() -> None:
    old = PlainState({1: Offer(1, _ASSETS[0], _ASSETS[1], 1, 2, 5)})
    new = PlainState({2: Offer(2, _ASSETS[0], _ASSETS[1], 1, 3, 7)})
    (pair, book), (_, change) = _elements([old, new], 1)
    state = PairState()
    advance(pair, state, book, _DEPTH)
    fresh = PairBook(2, 20, 0, 1, books_of(offer_rows(new.offers.values()), pool_rows([]))[pair])
    assert advance(pair, state, fresh, _DEPTH) == []
    assert (state.epoch, state.ledger, state.book) == (2, 20, fresh.book)
    assert advance(pair, state, change, _DEPTH) == advance(pair, state, book, _DEPTH) == []
    assert (state.ledger, state.book, state.waiting) == (20, fresh.book, {})


def test_a_change_that_does_not_fit_is_told_with_pair_ledger_and_offer() -> None:
    there = PlainState({7: Offer(7, _ASSETS[0], _ASSETS[1], 1, 2, 5)})
    pair, change = _elements([there, PlainState()], 1)[-1]
    state = PairState()
    advance(pair, state, PairBook(1, _START, 0, 1, EMPTY_BOOK), _DEPTH)
    with pytest.raises(StateError, match=r"order book of native / A:G\w+: ledger 11: offer 7 is not in the book as"):
        advance(pair, state, change, _DEPTH)


def test_a_pair_that_waits_too_long_is_given_up_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    states = [PlainState({1: Offer(1, _ASSETS[0], _ASSETS[1], 1, 1, amount)}) for amount in range(1, 9)]
    elements = _elements(states, 1)
    pair, book = elements[0]
    size = len(elements[1][1].steps[0].change)  # type: ignore[union-attr]
    monkeypatch.setattr(pair_books, "MOST_WAITING_BYTES", 3 * size)
    state, found = PairState(), []
    for _, element in elements[1:]:
        found += advance(pair, state, element, _DEPTH)
    assert [(each.ledger, each.levels) for each in found] == [(ledger, None) for ledger in range(11, 18)]
    assert state.lost
    assert state.bytes == 0
    assert advance(pair, state, book, _DEPTH) == []
    fresh = dataclasses.replace(book, epoch=2)  # type: ignore[type-var]
    assert advance(pair, state, fresh, _DEPTH) == []
    assert not state.lost


def test_a_book_that_grows_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    books = books_of(offer_rows(Offer(n, _ASSETS[0], _ASSETS[1], n, 1, 1) for n in range(1, 100)), pool_rows([]))
    monkeypatch.setattr(pair_books, "MOST_BOOK_BYTES", 1000)
    ((pair, book),) = books.items()
    state = PairState()
    assert advance(pair, state, PairBook(1, 5, 0, 1, book), _DEPTH) == []
    assert state.lost
    assert state.bytes == 0


def test_what_leaves_the_book_as_it_is_is_no_change() -> None:
    offer = Offer(1, _ASSETS[0], _ASSETS[1], 1, 2, 5)
    pool = Pool("ab" * 32, _ASSETS[0], _ASSETS[1], 5, 6)
    state = PlainState({1: offer}, {pool.pool_id: pool})
    assert changed_pairs(change_unit(12, state, state)).num_rows == 0


def test_an_offer_that_moves_to_another_pair_changes_both() -> None:
    before = PlainState({1: Offer(1, _ASSETS[0], _ASSETS[1], 1, 2, 5)})
    after = PlainState({1: Offer(1, _ASSETS[3], _ASSETS[1], 1, 2, 5)})
    assert set(_changes(before, after, 12)) == before.pairs() | after.pairs()


@settings(max_examples=60, deadline=None)
@given(states=st.lists(_states(), min_size=2, max_size=2))
def test_going_back_leads_to_where_it_came_from(states: list[PlainState]) -> None:
    before, after = (books_of(offer_rows(s.offers.values()), pool_rows(s.pools.values())) for s in states)
    for pair, change in _changes(*states, 11).items():
        old, new = before.get(pair, EMPTY_BOOK), after.get(pair, EMPTY_BOOK)
        assert _kernel.move_book(old, [change], depth=1)[0] == new
        assert _kernel.move_book(new, [change], depth=1, backwards=True)[0] == old


def test_the_rows_of_no_levels_have_the_schemas() -> None:
    assert level_batch(gathered([])).schema == SCHEMA
    assert level_batch(gathered([]), json=True).schema == SQL_SCHEMA


def test_broken_bytes_are_refused() -> None:
    for broken in (b"", b"\0" * 8, EMPTY_BOOK + b"\0", b"\xff" * 9):
        with pytest.raises(_kernel.OrderBookError, match="not those of a book"):
            _kernel.move_book(broken, [], depth=1)
    with pytest.raises(_kernel.OrderBookError, match="not those of a book"):
        _kernel.move_book(EMPTY_BOOK, [b"\1"], depth=1)
    with pytest.raises(ValueError, match="not those of levels"):
        _kernel.level_rows(pa.array(["x"]), pa.array(["y"]), pa.array([b"\1"]), json=True)
