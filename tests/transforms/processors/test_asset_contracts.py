from __future__ import annotations

from decimal import Decimal

import pyarrow as pa

from aurora_ingest.transforms.processors import PARTIAL_SCHEMAS
from aurora_ingest.transforms.processors.asset_contracts import asset_contract_partials, asset_contract_rows
from entry_batches import entries


def joined(*rows: dict[str, object]) -> pa.RecordBatch:
    schema = PARTIAL_SCHEMAS["asset_contracts"].append(pa.field("live_until_ledger", pa.int64(), nullable=False))
    return pa.RecordBatch.from_pylist(list(rows), schema)


def balance(name: str, amount: int, live_until: int, contract: str = "c") -> dict[str, object]:
    key, owner = name.encode() * 32, contract.encode() * 32
    return {
        "key_hash": key, "contract_id": owner, "kind": 2, "amount": Decimal(amount), "live_until_ledger": live_until
    }  # fmt: skip


def instance(name: str, live_until: int) -> dict[str, object]:
    facts = {"asset_type": 1, "asset_code": "USD", "asset_issuer": "GI"}
    return {**balance(name, 0, live_until), "kind": 1, "amount": None, **facts}


def test_only_instances_that_live_at_the_ledger_are_contracts() -> None:
    batch = joined(instance("a", 99), instance("b", 100), instance("d", 101), balance("e", 5, 200))
    rows = asset_contract_rows(batch, 100).to_pylist()
    assert [(row["key_hash"], row["expiration_ledger"]) for row in rows] == [(b"b" * 32, 100), (b"d" * 32, 101)]
    assert {(row["asset_type"], row["asset_code"], row["asset_issuer"]) for row in rows} == {(1, "USD", "GI")}


def test_contract_data_of_other_contracts_is_not_put_aside() -> None:
    batch = entries(
        "contract_data",
        {"key_hash": b"a" * 32},
        {"key_hash": b"b" * 32, "asset_contract_kind": 2, "contract_id": b"c" * 32, "balance_amount": Decimal(7)},
    )
    rows = asset_contract_partials(batch).to_pylist()
    assert [(row["key_hash"], row["kind"], row["amount"]) for row in rows] == [(b"b" * 32, 2, 7)]
