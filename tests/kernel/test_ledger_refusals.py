"""Transactions that do not decode in ledgers that do: they alone get no rows."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import closed_network
from aurora_ingest._kernel import LEDGER_TABLES, LedgerDecoder, XdrError

_LEDGER = 70
_ORDERS = {"transactions": "application_order", "operations": "transaction_order"}
_ORDERS |= {"changes": "transaction_order", "contract_events": "transaction_order"}
Refused = list[tuple[int, int, bool, str]]


def _decoded(data: bytes) -> tuple[dict[str, pa.RecordBatch], Refused]:
    decoder = LedgerDecoder(network_id=closed_network.NETWORK.network_id)
    decoder.push(data, tolerant=True)
    return {name: pa.record_batch(batch) for name, batch in decoder.take().items()}, decoder.take_refused()


def _strictly(data: bytes) -> str | None:
    decoder = LedgerDecoder(network_id=closed_network.NETWORK.network_id)
    try:
        decoder.push(data)
    except XdrError as error:
        return error.reason
    return None


def _tolerantly(data: bytes) -> str | None:
    try:
        _decoded(data)
    except XdrError as error:
        return error.reason
    return None


def _damaged() -> Iterator[bytes]:
    """The ledger with a word of it changed, for every word."""
    rng = random.Random(7)
    whole = closed_network.ledgers()[_LEDGER]
    for place in range(0, len(whole), 4):
        word = rng.choice([b"\0\0\0\x02", b"\0\0\0\x63", b"\xff\xff\xff\xff", whole[place : place + 3] + b"\x05"])
        yield whole[:place] + word + whole[place + 4 :]


def _without(batch: pa.RecordBatch, column: str, orders: list[int]) -> pa.RecordBatch:
    mine = pc.is_in(batch.column(column), pa.array(orders, batch.schema.field(column).type))
    return batch.filter(pc.invert(mine))


def test_what_a_tolerant_decoder_passes_over_is_missing_alone() -> None:
    whole, none = _decoded(closed_network.ledgers()[_LEDGER])
    assert none == []
    seen: set[tuple[bool, bool]] = set()
    for data in _damaged():
        strict = _strictly(data)
        reason = _tolerantly(data)
        if reason is not None:
            assert strict == reason
            continue
        found, refused = _decoded(data)
        assert (strict is None) == (refused == [])
        if strict is None or found["ledgers"].column("unmatched_transactions")[0].as_py():
            continue
        ((ledger, order, changes_lost, reason),) = refused
        assert ledger == _LEDGER
        assert reason.startswith(f"transaction {order}: ")
        assert strict.split(": ")[-1] in reason
        for table, column in _ORDERS.items():
            if table == "changes" and not changes_lost:
                assert found[table].num_rows == whole[table].num_rows
                continue
            # With their places: what is left is where it was.
            assert found[table].equals(_without(whole[table], column, [order])), (table, reason)
        same_transactions = found["ledgers"].column("transaction_count"), whole["ledgers"].column("transaction_count")
        assert same_transactions[0].equals(same_transactions[1])
        seen.add((changes_lost, "Meta" in reason or "Entry" in reason))
    assert {lost for lost, _ in seen} == {True, False}
    assert set(found) == set(LEDGER_TABLES)


def test_two_bad_transactions_are_both_told_once() -> None:
    whole = closed_network.ledgers()[_LEDGER]
    clean = _decoded(whole)[0]["transactions"].num_rows
    first = next(data for data in _damaged() if _strictly(data) and _told(data) == 1)
    (order,) = [each[1] for each in _decoded(first)[1]]
    both = next(
        bytes(max(a, b) if a != b else a for a, b in zip(first, other, strict=True))
        for other in _damaged()
        if _strictly(other) and _told(other) == 1 and _decoded(other)[1][0][1] != order
    )
    decoder = LedgerDecoder(network_id=closed_network.NETWORK.network_id)
    decoder.push(both, tolerant=True)
    assert len(decoder.take_refused()) == 2
    assert decoder.take_refused() == []
    assert pa.record_batch(decoder.take()["transactions"]).num_rows == clean - 2


def _told(data: bytes) -> int:
    try:
        return len(_decoded(data)[1])
    except XdrError:
        return 0


def test_what_lies_outside_of_transactions_is_never_passed_over() -> None:
    data = bytearray(closed_network.ledgers()[_LEDGER])
    data[-9] = 7  # the number of upgrades or of what follows them
    with pytest.raises(XdrError):
        _decoded(bytes(data))
