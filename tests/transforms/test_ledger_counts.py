from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest

from aurora_ingest.db.quarantine import RefusedRow, row_of
from aurora_ingest.errors import StateError
from aurora_ingest.transforms.ledger_counts import (
    REFUSED_LEDGERS,
    REFUSED_SCHEMA,
    ledger_counts,
    quarantined_records,
    quarantined_rows,
)
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit, Receipt
from aurora_ingest.transforms.processors import TableSpec, history_by_table

_LEDGERS = [10, 11, 13]
_PLACES = [(10, 1), (10, 2), (13, 1), (13, 2), (13, 3)]


def _spec() -> TableSpec:
    (process,) = history_by_table(["history_operations"])
    return process.spec


def _unit(written: list[tuple[int, int]], decoded: list[tuple[int, int]] = _PLACES) -> LedgerUnit:
    refused = {"ledger_sequence": 12, "raw": b"raw", "has_meta": False, "reason": "bad"}
    return LedgerUnit(
        kind=CHUNK,
        index=0,
        last=True,
        first_ledger=10,
        last_ledger=13,
        pre={},
        post={},
        tables={"history_operations": _rows(written)},
        receipt=Receipt(CHUNK, 0, True),
        decoded={
            "ledgers": pa.record_batch({"ledger_sequence": pa.array(_LEDGERS, pa.int64())}),
            "operations": pa.record_batch({"ledger_sequence": pa.array([place[0] for place in decoded], pa.int64())}),
            REFUSED_LEDGERS: pa.RecordBatch.from_pylist([refused], REFUSED_SCHEMA),
        },
        chunk=(10, 13),
    )


def _rows(places: list[tuple[int, int]]) -> pa.RecordBatch:
    return pa.record_batch({"id": pa.array([ledger << 32 | 1 << 12 | number for ledger, number in places], pa.int64())})


def test_every_ledger_has_its_counts() -> None:
    counts = ledger_counts(_unit(_PLACES), _spec(), {13: 2}).to_pylist()
    assert {row["table_name"] for row in counts} == {"history_operations"}
    assert [(row["ledger_sequence"], row["rows_in"], row["rows_out"], row["quarantined"]) for row in counts] == [
        (10, 2, 2, 0),
        (11, 0, 0, 0),
        (12, 1, 0, 1),
        (13, 3, 1, 2),
    ]


@pytest.mark.parametrize(
    "written,told",
    [
        (_PLACES[:-1], "ledger 13 has 3 decoded rows and 2 rows to write"),
        ([*_PLACES, (11, 1)], "ledger 11 has 0 decoded rows and 1 rows to write"),
        ([(11, 1), *_PLACES[1:]], "ledger 10 has 2 decoded rows and 1 rows to write"),
    ],
)
def test_rows_that_got_lost_or_came_from_nowhere_are_found(written: list[tuple[int, int]], told: str) -> None:
    with pytest.raises(StateError, match=told):
        ledger_counts(_unit(written), _spec())


def test_rows_of_a_ledger_that_is_not_in_the_slice_are_found() -> None:
    stray = [*_PLACES, (99, 1)]
    with pytest.raises(StateError, match="rows of ledger 99, which is not in the slice"):
        ledger_counts(_unit(stray, stray), _spec())


def test_a_refused_row_knows_its_place_in_its_ledger() -> None:
    batch = _rows(_PLACES)
    records = quarantined_rows("history_operations", batch, [RefusedRow(1, "why"), RefusedRow(4, "so")])
    assert [(each.ledger, each.position, each.reason) for each in records] == [(10, 1, "why"), (13, 2, "so")]
    assert [row_of(each).to_pylist() for each in records] == [
        batch.slice(1, 1).to_pylist(),
        batch.slice(4, 1).to_pylist(),
    ]


def test_a_refused_ledger_is_kept_for_each_table() -> None:
    (record,) = quarantined_records(_unit(_PLACES), "history_operations")
    assert (record.ledger, record.kind, record.raw, record.has_meta) == (12, "ledger", b"raw", False)
    without = dataclasses.replace(_unit(_PLACES), decoded={})
    assert quarantined_records(without, "history_operations") == []
