"""Total order ids: the vectors of stellar/go, and that ids order as what they stand for does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.errors import UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger.toid import LEDGER_MAX, OPERATION_MAX, TOID_MAX, TRANSACTION_MAX, Toid, toid_bounds

_TOIDS = st.builds(Toid, st.integers(0, LEDGER_MAX), st.integers(0, TRANSACTION_MAX), st.integers(0, OPERATION_MAX))


@pytest.mark.shared_data
def test_the_vectors_of_stellar_go(shared_data: Path) -> None:
    cases = json.loads((shared_data / "public" / "vectors" / "toid.json").read_bytes())["cases"]
    assert len(cases) == 14
    for case in cases:
        if case["id"] is None:
            with pytest.raises(UsageError, match="TOID: "):
                Toid(*case["parts"])
        else:
            assert int(Toid(*case["parts"])) == case["id"]
            assert Toid.from_int(case["id"]) == Toid(*case["parts"])


@given(_TOIDS)
def test_an_id_comes_apart_into_its_parts(toid: Toid) -> None:
    assert 0 <= int(toid) < 2**63
    assert Toid.from_int(int(toid)) == toid


@given(st.integers(0, TOID_MAX))
def test_every_number_of_63_bits_is_an_id(number: int) -> None:
    assert int(Toid.from_int(number)) == number


@given(_TOIDS, _TOIDS)
def test_ids_are_in_the_order_of_their_parts(one: Toid, other: Toid) -> None:
    assert (one < other) == (int(one) < int(other))
    assert (one == other) == (int(one) == int(other))


@pytest.mark.parametrize(
    "parts,message",
    [
        ((LEDGER_MAX + 1, 0, 0), "ledger 2147483648 is not between 0 and 2147483647"),
        ((-1, 0, 0), "ledger -1"),
        ((0, TRANSACTION_MAX + 1, 0), "transaction 1048576 is not between 0 and 1048575"),
        ((0, -1, 0), "transaction -1"),
        ((0, 0, OPERATION_MAX + 1), "operation 4096 is not between 0 and 4095"),
        ((0, 0, -1), "operation -1"),
    ],
)
def test_a_part_that_does_not_fit_is_named(parts: tuple[int, int, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Toid(*parts)


@pytest.mark.parametrize("number", [-1, TOID_MAX + 1, 1 << 64])
def test_a_number_that_is_no_id_is_refused(number: int) -> None:
    with pytest.raises(UsageError, match=f"TOID {number} is not between"):
        Toid.from_int(number)


@given(st.integers(1, LEDGER_MAX), st.integers(0, 1000), _TOIDS)
def test_the_bounds_hold_what_lies_in_the_ledgers_and_nothing_else(first: int, more: int, toid: Toid) -> None:
    ledgers = LedgerRange(first, min(first + more, LEDGER_MAX))
    low, high = toid_bounds(ledgers)
    assert (low <= int(toid) <= high) == (toid.ledger in ledgers)
    assert Toid.from_int(low) == Toid(ledgers.first)
    assert Toid.from_int(high).ledger == ledgers.last
    if ledgers.last < LEDGER_MAX:
        assert high + 1 == int(Toid(ledgers.last + 1))


def test_bounds_of_ledgers_that_ids_cannot_name_are_refused() -> None:
    with pytest.raises(UsageError, match="ledger 2147483648"):
        toid_bounds(LedgerRange(1, LEDGER_MAX + 1))
