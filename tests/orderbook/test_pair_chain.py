"""Linking ledgers: whenever the books are read, and in whatever groups ledgers come, every ledger is told once."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_ingest.db.order_book import OrderBookRows
from aurora_ingest.errors import StateError
from aurora_ingest.transforms import pair_chain
from aurora_ingest.transforms.order_book_levels import gathered, level_batch
from aurora_ingest.transforms.pair_books import Pair, PairLevels, PairState, advance
from aurora_ingest.transforms.pair_chain import (
    LOST,
    Chain,
    ChainCoder,
    LedgerMark,
    LedgerPairs,
    LedgersOfPairs,
    LedgersOfPairsCoder,
    link,
)
from orderbook.book_history import Rows, expected_rows, shown_rows
from orderbook.changed_units import change_unit
from orderbook.order_books import Offer, asset, offer_rows, pool_rows
from orderbook.plain_levels import PlainState

_ASSETS = (asset("native"), asset("A"), asset("B"))
_DEPTH = 3
_FIRST = 5


def _state(*amounts: int) -> PlainState:
    """Offers by place: an amount of 0 is none; pairs and prices follow from the place."""
    sides = [(0, 1), (1, 0), (0, 1), (2, 1), (0, 2)]
    return PlainState(
        {
            number: Offer(number, _ASSETS[sell], _ASSETS[buy], number + 1, 2, amount)
            for number, ((sell, buy), amount) in enumerate(zip(sides, amounts, strict=False))
            if amount
        }
    )


class _Ledgers:
    """States from ledger _FIRST - 1 on, with their changes."""

    def __init__(self, states: Iterable[PlainState]) -> None:
        self.states = dict(enumerate(states, _FIRST - 1))
        self.changes = [
            LedgerPairs.of(change_unit(ledger, before, after))
            for ledger, (before, after) in enumerate(pairwise(self.states.values()), _FIRST)
        ]
        self.last = _FIRST + len(self.changes) - 1

    def books(self, ledger: int) -> OrderBookRows:
        state = self.states[ledger]
        return OrderBookRows(ledger, offer_rows(state.offers.values()), pool_rows([]), {})


class _Reader:
    """What is behind a chain: books of pairs, levels and marks."""

    def __init__(self, ledgers: _Ledgers, *, is_lazy: bool) -> None:
        self._ledgers = ledgers
        self._is_lazy = is_lazy
        self._states: dict[Pair, PairState] = {}
        self._chain = ChainCoder().encode(Chain())
        self.reads: list[int] = []
        self.levels: list[tuple[Pair, PairLevels]] = []
        self.marks: list[LedgerMark] = []

    def give(self, ledgers: Iterable[LedgerPairs], cursor: int) -> None:
        """Ledgers come while the database stands at a cursor."""
        chain = ChainCoder().decode(self._chain)
        coder = LedgersOfPairsCoder()
        came = coder.decode(coder.encode(LedgersOfPairs(tuple(ledgers)))).ledgers

        def read() -> OrderBookRows:
            self.reads.append(cursor)
            return self._ledgers.books(cursor)

        elements, marks = link(chain, came, read, is_lazy=self._is_lazy)
        self._chain = ChainCoder().encode(chain)
        self.marks += marks
        for pair, element in elements:
            state = self._states.setdefault(pair, PairState())
            self.levels += [(pair, each) for each in advance(pair, state, element, _DEPTH)]

    @property
    def rows(self) -> Rows:
        """The rows that came of it."""
        return shown_rows(level_batch(gathered(self.levels)).to_pylist())


_states = st.lists(
    st.lists(st.integers(0, 2), min_size=5, max_size=5).map(lambda some: _state(*some)), min_size=2, max_size=9
)


@settings(max_examples=120, deadline=None)
@given(states=_states, is_lazy=st.booleans(), seed=st.integers(0, 2**32), ahead=st.integers(0, 4))
def test_every_ledger_is_told_however_they_come(states: list[PlainState], is_lazy: bool, seed: int, ahead: int) -> None:
    """In groups, some again, some before others, while the database is some ledgers further on."""
    ledgers, chance = _Ledgers(states), random.Random(seed)
    reader = _Reader(ledgers, is_lazy=is_lazy)
    order = list(ledgers.changes)
    for place in range(len(order) - 1):
        if chance.random() < 0.3:
            order[place], order[place + 1] = order[place + 1], order[place]
    given_up_to = 0
    seen = 0
    while given_up_to < len(order):
        group = order[given_up_to : given_up_to + chance.randint(1, 3)]
        given_up_to += len(group)
        seen = max(seen, *(each.ledger for each in group))
        again = chance.choices(order[:given_up_to], k=chance.randint(0, 2))
        reader.give([*again, *group], min(seen + ahead, ledgers.last))
    told = {mark.ledger for mark in reader.marks}
    first = min(each.ledger for each in ledgers.changes if each.ledger in told)
    # The first group may have come without the ledger before it; all from the first one told on are there.
    assert sorted(told) == list(range(first, ledgers.last + 1))
    expected = {key: row for key, row in expected_rows(ledgers.states, _DEPTH).items() if key[0] >= first}
    assert reader.rows == expected
    assert [mark.pairs for mark in sorted(reader.marks, key=lambda mark: mark.ledger)] == [
        sum(key[0] == ledger for key in expected) for ledger in range(first, ledgers.last + 1)
    ]
    assert first == _FIRST or order[0].ledger > _FIRST
    assert len(reader.reads) == 1


def test_books_of_a_later_ledger_are_taken_back() -> None:
    ledgers = _Ledgers([_state(1, 1), _state(2, 0), _state(0, 3, 1), _state(2, 3, 1)])
    reader = _Reader(ledgers, is_lazy=False)
    reader.give(ledgers.changes[:1], 7)
    assert reader.marks == []
    reader.give(ledgers.changes[1:], 7)
    assert reader.rows == expected_rows(ledgers.states, _DEPTH)
    assert reader.reads == [7]


def test_a_missing_ledger_is_waited_for_and_then_the_books_are_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_chain, "MOST_OUT_OF_ORDER", 2)
    ledgers = _Ledgers([_state(1, number) for number in range(1, 9)])
    reader = _Reader(ledgers, is_lazy=True)
    reader.give(ledgers.changes[:2], 6)
    reader.give(ledgers.changes[3:5], 9)
    assert [mark.ledger for mark in reader.marks] == [5, 6]
    reader.give(ledgers.changes[5:6], 10)
    assert reader.reads == [6, 10]
    assert [mark.ledger for mark in reader.marks] == [5, 6, 8, 9, 10]
    reader.give(ledgers.changes[6:], 11)
    expected = expected_rows(ledgers.states, _DEPTH)
    assert reader.rows == {key: row for key, row in expected.items() if key[0] != 7}


def test_what_waits_too_long_is_told_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_chain, "MOST_HELD_BYTES", 0)
    ledgers = _Ledgers([_state(1, number) for number in range(1, 6)])
    reader = _Reader(ledgers, is_lazy=False)
    reader.give(ledgers.changes[:2], 8)
    assert reader.marks == [LedgerMark(5, LOST), LedgerMark(6, LOST)]
    reader.give(ledgers.changes[2:], 8)
    assert [(mark.ledger, mark.pairs) for mark in reader.marks[2:]] == [(7, 1), (8, 1)]


def test_a_ledger_with_lost_changes_is_lost_and_the_books_are_read_behind_it() -> None:
    ledgers = _Ledgers([_state(1, number) for number in range(1, 7)])
    ledgers.changes[2] = dataclasses.replace(ledgers.changes[2], is_lost=True)
    reader = _Reader(ledgers, is_lazy=True)
    reader.give(ledgers.changes[:4], 6)
    assert reader.marks == [LedgerMark(5, 1), LedgerMark(6, 1), LedgerMark(7, LOST)]
    reader.give(ledgers.changes[4:], 9)
    assert reader.reads == [6, 9]
    assert reader.rows == {key: row for key, row in expected_rows(ledgers.states, _DEPTH).items() if key[0] != 7}


def test_books_that_contradict_the_ledgers_are_refused() -> None:
    ledgers = _Ledgers([_state(1), _state(2), _state(3)])
    reader = _Reader(ledgers, is_lazy=False)
    other = _Ledgers([_state(1), _state(2), _state(9)])
    reader._ledgers = other
    with pytest.raises(StateError, match=r"native / A:G\w+: back over ledger 6: offer 0 is not in the book as"):
        reader.give(ledgers.changes, 6)


def test_books_older_than_the_ledgers_are_refused() -> None:
    ledgers = _Ledgers([_state(1), _state(2), _state(3), _state(4)])
    with pytest.raises(StateError, match="order books stand at ledger 5, and ledger 7 is committed"):
        _Reader(ledgers, is_lazy=False).give(ledgers.changes[2:], 5)
