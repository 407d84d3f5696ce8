from __future__ import annotations

from aurora_ingest.transforms.read_ledgers_continuously import (
    LEDGERS_AHEAD,
    LEDGERS_PER_TICK,
    NO_POSITION,
    _Place,
    next_place,
    wanted,
)


def test_a_new_reader_begins_at_the_cursor_or_where_it_is_told() -> None:
    assert next_place(None, NO_POSITION, 63) == _Place(63, 63)
    assert next_place(None, 60, 63) == _Place(60, 63)


def test_a_reader_goes_on_from_its_own_place() -> None:
    assert next_place(_Place(70, 63), NO_POSITION, 68) == _Place(70, 68)
    assert next_place(_Place(70, 63), 5, 63) == _Place(70, 63)


def test_a_cursor_that_moved_back_takes_the_reader_with_it() -> None:
    assert next_place(_Place(70, 69), NO_POSITION, 63) == _Place(63, 63)


def test_a_reader_stops_when_nobody_commits() -> None:
    assert wanted(_Place(63, 63), None) == LEDGERS_PER_TICK
    assert wanted(_Place(63, 90), None) == LEDGERS_PER_TICK
    assert wanted(_Place(63 + LEDGERS_AHEAD - 5, 63), None) == 5
    assert wanted(_Place(63 + LEDGERS_AHEAD + 5, 63), None) == 0


def test_a_reader_stops_at_the_last_ledger() -> None:
    assert wanted(_Place(63, 63), 70) == 7
    assert wanted(_Place(70, 63), 70) == wanted(_Place(71, 63), 70) == 0
