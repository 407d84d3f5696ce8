from __future__ import annotations

import logging

import pytest

from aurora_ingest.transforms.extract_receipts import ReportState
from aurora_ingest.transforms.ledger_unit import Receipt
from support import EagerPipeline


def test_the_state_reporter_counts_the_ranges_of_all_workers(caplog: pytest.LogCaptureFixture) -> None:
    receipts = [Receipt("range", index, last=index == 4, entries={"account": 60_000}) for index in (4, 0, 3, 1, 2)]
    with caplog.at_level(logging.INFO, "aurora_ingest.state"):
        assert EagerPipeline().run(receipts, ReportState(63)) == []
    assert [(record.message, getattr(record, "numEntries", None)) for record in caplog.records] == [
        ("Reading from History Archive Snapshot", None),
        ("Processing entries from History Archive Snapshot", 120_000),
        ("Processing entries from History Archive Snapshot", 240_000),
        ("Processing entries from History Archive Snapshot", 300_000),
        ("Finished processing History Archive Snapshot", 300_000),
    ]
    assert {record.sequence for record in caplog.records} == {63}  # type: ignore[attr-defined]  # in `extra`
