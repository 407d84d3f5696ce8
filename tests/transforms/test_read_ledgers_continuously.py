from __future__ import annotations

from aurora_ingest.transforms.reading_place import (
    BYTES_AHEAD,
    LEDGERS_AHEAD,
    LEDGERS_PER_TICK,
    NO_POSITION,
    STALL_SECONDS,
    KeptPlace,
    KeptPlaceCoder,
    Place,
    next_place,
    wanted,
)

_NOW = 1000.0


def test_a_new_reader_begins_at_the_cursor_or_where_it_is_told() -> None:
    assert next_place(None, NO_POSITION, 63, _NOW) == Place(63, 63, _NOW)
    assert next_place(None, 60, 63, _NOW) == Place(60, 63, _NOW)


def test_a_reader_goes_on_from_its_own_place() -> None:
    assert next_place(Place(70, 63), NO_POSITION, 68, _NOW) == Place(70, 68, _NOW)
    assert next_place(Place(70, 63, _NOW - 1), 5, 63, _NOW) == Place(70, 63, _NOW - 1)


def test_a_reader_that_lags_passes_every_ledger_on() -> None:
    assert next_place(Place(70, 69), NO_POSITION, 90, _NOW).position == 70


def test_a_cursor_that_moved_back_takes_the_reader_with_it() -> None:
    assert next_place(Place(70, 69, _NOW, ((70, 5),)), NO_POSITION, 63, _NOW) == Place(63, 63, _NOW)


def test_what_nobody_commits_is_read_again_after_a_while() -> None:
    place = Place(70, 63, _NOW, ((70, 5),))
    assert next_place(place, NO_POSITION, 63, _NOW + STALL_SECONDS) == place
    assert next_place(place, NO_POSITION, 63, _NOW + STALL_SECONDS + 1) == Place(63, 63, _NOW + STALL_SECONDS + 1)
    # Time in which nothing waited does not count, nor does time before the cursor moved.
    idle = next_place(Place(70, 70, _NOW), NO_POSITION, 70, _NOW + 500).read_to(71, 5)
    assert next_place(idle, NO_POSITION, 70, _NOW + 501) == idle
    assert next_place(place, NO_POSITION, 64, _NOW + 500) == Place(70, 64, _NOW + 500, ((70, 5),))


def test_a_reader_stops_when_nobody_commits() -> None:
    assert wanted(Place(63, 63), None) == LEDGERS_PER_TICK
    assert wanted(Place(63, 90), None) == LEDGERS_PER_TICK
    assert wanted(Place(63 + LEDGERS_AHEAD - 5, 63), None) == 5
    assert wanted(Place(63 + LEDGERS_AHEAD + 5, 63), None) == 0


def test_a_reader_stops_when_what_waits_is_large() -> None:
    place = Place(63, 63).read_to(64, BYTES_AHEAD - 1)
    assert wanted(place, None) > 0
    place = place.read_to(65, 1)
    assert wanted(place, None) == 0
    assert next_place(place, NO_POSITION, 64, _NOW).ahead == ((65, 1),)
    assert wanted(next_place(place, NO_POSITION, 64, _NOW), None) > 0


def test_a_reader_stops_at_the_last_ledger() -> None:
    assert wanted(Place(63, 63), 70) == 7
    assert wanted(Place(70, 63), 70) == wanted(Place(71, 63), 70) == 0


def test_a_place_is_kept_as_it_is() -> None:
    coder = KeptPlaceCoder()
    for place in (Place(70, 63), Place(70, 63, 12.25, ((69, 1), (70, 2)))):
        kept = KeptPlace(place, "one, of version 3")
        assert coder.decode(coder.encode(kept)) == kept
