from __future__ import annotations

from decimal import Decimal

import pyarrow as pa

from aurora_ingest.transforms.processors import PARTIAL_SCHEMAS, sum_partials
from aurora_ingest.transforms.processors.contract_asset_stats import (
    contract_asset_stat_partials,
    contract_asset_stat_rows,
)


def joined(*rows: dict[str, object]) -> pa.RecordBatch:
    schema = PARTIAL_SCHEMAS["asset_contracts"].append(pa.field("live_until_ledger", pa.int64(), nullable=False))
    return pa.RecordBatch.from_pylist(list(rows), schema)


def balance(name: str, amount: int, live_until: int, contract: str = "c") -> dict[str, object]:
    key, owner = name.encode() * 32, contract.encode() * 32
    return {
        "key_hash": key, "contract_id": owner, "kind": 2, "amount": Decimal(amount), "live_until_ledger": live_until
    }  # fmt: skip


def test_sums_of_many_partitions_are_exact_beyond_39_digits() -> None:
    largest = 2**127 - 1
    partials = [
        contract_asset_stat_partials(joined(balance("a", largest, 200), balance("b", largest, 200)), 100),
        contract_asset_stat_partials(joined(balance("d", largest, 200), balance("e", 5, 99)), 100),
        contract_asset_stat_partials(joined(balance("f", 3, 100, contract="b")), 100),
    ]
    rows = contract_asset_stat_rows(sum_partials("contract_asset_stats", partials)).to_pylist()
    assert rows == [
        {"contract_id": b"b" * 32, "stat": '{"balance": "3", "holders": 1}'},
        {"contract_id": b"c" * 32, "stat": f'{{"balance": "{3 * largest}", "holders": 3}}'},
    ]
