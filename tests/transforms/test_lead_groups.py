from __future__ import annotations

import pyarrow as pa
import pytest

from aurora_ingest.transforms import lead
from aurora_ingest.transforms.extract_changes import ledger_unit
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from aurora_ingest.transforms.stop_requests import is_asked_to_stop, may_be_stopped


def _units(*sequences: int, size: int = 1000) -> list[LedgerUnit]:
    ledgers = pa.record_batch({"raw_bytes": pa.array([size], pa.int64())})
    return [ledger_unit(sequence, {"ledgers": ledgers}) for sequence in sequences]


def _spans(units: list[LedgerUnit], pause_every: int = 0) -> list[tuple[int, int]]:
    return [(group[0].last_ledger, group[-1].last_ledger) for group in lead.groups(units, pause_every)]


def test_groups_are_consecutive_and_end_where_somebody_looks() -> None:
    assert _spans(_units()) == []
    assert _spans(_units(*range(10, 90))) == [(10, 73), (74, 89)]
    assert _spans(_units(10, 11, 13)) == [(10, 11), (13, 13)]
    assert _spans(_units(*range(62, 81)), 8) == [(62, 63), (64, 71), (72, 79), (80, 80)]


def test_groups_are_not_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lead, "GROUP_BYTES", 2500)
    assert _spans(_units(*range(10, 15))) == [(10, 11), (12, 13), (14, 14)]
    assert _spans(_units(10, 11, size=9000)) == [(10, 10), (11, 11)]


def test_a_request_to_stop_is_heard_under_its_name_for_its_time() -> None:
    asked = False
    with may_be_stopped("this", lambda: asked):
        assert not is_asked_to_stop("this")
        asked = True
        assert is_asked_to_stop("this")
        assert not is_asked_to_stop("that")
    assert not is_asked_to_stop("this")
