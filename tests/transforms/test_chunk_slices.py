from __future__ import annotations

import psycopg
import pytest

from aurora_ingest.errors import AuroraError, DatabaseError, MissingLedgersError, StateError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.transforms.chunk_slices import ChunkOrder, chunk_of, named
from aurora_ingest.transforms.ledger_unit import CHUNK, RANGE, LedgerUnit, Receipt

_CHUNK = LedgerRange(10, 19)


def _slice(index: int, first: int, last: int, *, ends: bool = False, chunk: LedgerRange = _CHUNK) -> LedgerUnit:
    receipt = Receipt(CHUNK, index, ends)
    return LedgerUnit(CHUNK, index, ends, first, last, {}, {}, {}, receipt, chunk=(chunk.first, chunk.last))


def test_slices_in_order_are_taken_chunk_by_chunk() -> None:
    order = ChunkOrder()
    for _ in range(2):
        assert order.take(_slice(0, 10, 12)) == _CHUNK
        assert order.take(_slice(1, 13, 19, ends=True)) == _CHUNK
        order.end()
    assert order.take(_slice(0, 20, 20, ends=True, chunk=LedgerRange(20, 20))) == LedgerRange(20, 20)


@pytest.mark.parametrize(
    "wrong,told",
    [
        (_slice(2, 13, 19), "slice 2 from ledger 13 came, expected slice 1 from ledger 13"),
        (_slice(1, 14, 19), "slice 1 from ledger 14 came, expected slice 1 from ledger 13"),
        (_slice(0, 10, 12), "slice 0 from ledger 10 came"),
        (_slice(1, 13, 18, ends=True), "its last slice ends at ledger 18"),
        (_slice(0, 20, 29, chunk=LedgerRange(20, 29)), "chunk 20-29: slice 0 from ledger 20 came, .* of chunk 10-19"),
    ],
)
def test_a_slice_out_of_order_is_refused(wrong: LedgerUnit, told: str) -> None:
    order = ChunkOrder()
    order.take(_slice(0, 10, 12))
    with pytest.raises(StateError, match=told):
        order.take(wrong)


def test_a_chunk_that_is_not_whole_is_told_at_the_end() -> None:
    order = ChunkOrder()
    order.take(_slice(0, 10, 12))
    with pytest.raises(StateError, match="chunk 10-19: the bundle ended before slice 1"):
        order.end()


def test_a_unit_of_a_snapshot_is_no_slice() -> None:
    with pytest.raises(StateError, match="is no slice"):
        chunk_of(LedgerUnit(RANGE, 0, False, 10, 10, {}, {}, {}, Receipt(RANGE, 0, False)))


@pytest.mark.parametrize(
    "error,kind,told",
    [
        (MissingLedgersError("gone", [_CHUNK]), MissingLedgersError, "chunk 10-19: gone"),
        (psycopg.OperationalError("no more\nlines"), DatabaseError, "chunk 10-19: the database failed: no more"),
        (OSError(28, "No space left on device"), AuroraError, "chunk 10-19: .*No space left"),
        (ValueError("a bug"), ValueError, "^a bug$"),
    ],
)
def test_errors_name_their_chunk_once(error: Exception, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told) as raised, named(_CHUNK), named(_CHUNK):
        raise error
    assert str(raised.value).count("chunk") <= 1
