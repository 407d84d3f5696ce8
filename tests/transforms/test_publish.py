from __future__ import annotations

import pytest

from aurora_ingest.errors import PublishError
from aurora_ingest.transforms.ledger_unit import Receipt
from aurora_ingest.transforms.publish import check_complete


def receipt(kind: str, index: int, *, last: bool = False) -> Receipt:
    return Receipt(kind, index, last)


def test_a_whole_plan_is_sorted() -> None:
    receipts = [receipt("totals", 0, last=True), receipt("range", 1, last=True), receipt("range", 0)]
    assert [(r.kind, r.index) for r in check_complete(receipts, ["range", "totals"])] == [
        ("range", 0),
        ("range", 1),
        ("totals", 0),
    ]


@pytest.mark.parametrize(
    "receipts",
    [
        [],
        [receipt("range", 0)],
        [receipt("range", 1, last=True)],
        [receipt("range", 0), receipt("range", 2, last=True)],
        [receipt("range", 0), receipt("range", 0), receipt("range", 1, last=True)],
        [receipt("range", 0, last=True), receipt("range", 1)],
        [receipt("range", 0, last=True), receipt("range", 1, last=True)],
    ],
)
def test_a_missing_or_doubled_unit_stops_the_publish(receipts: list[Receipt]) -> None:
    with pytest.raises(PublishError, match=r"build is not complete: range units .*nothing was published"):
        check_complete(receipts, ["range"])
