from __future__ import annotations

from decimal import Decimal

import pyarrow as pa

from aurora_ingest.transforms.processors import PARTIAL_SCHEMAS
from aurora_ingest.transforms.processors.contract_asset_balances import contract_asset_balance_rows


def joined(*rows: dict[str, object]) -> pa.RecordBatch:
    schema = PARTIAL_SCHEMAS["asset_contracts"].append(pa.field("live_until_ledger", pa.int64(), nullable=False))
    return pa.RecordBatch.from_pylist(list(rows), schema)


def balance(name: str, amount: int, live_until: int, contract: str = "c") -> dict[str, object]:
    key, owner = name.encode() * 32, contract.encode() * 32
    return {
        "key_hash": key, "contract_id": owner, "kind": 2, "amount": Decimal(amount), "live_until_ledger": live_until
    }  # fmt: skip


def test_balances_live_up_to_and_with_their_last_ledger() -> None:
    largest = 2**127 - 1
    batch = joined(balance("a", 1, 99), balance("b", largest, 100), balance("d", 0, 2**32 - 1))
    rows = contract_asset_balance_rows(batch, 100).to_pylist()
    assert [(row["key_hash"][:1], int(row["amount"]), row["expiration_ledger"]) for row in rows] == [
        (b"b", largest, 100),
        (b"d", 0, 2**32 - 1),
    ]
    assert {row["asset_contract_id"] for row in rows} == {b"c" * 32}
