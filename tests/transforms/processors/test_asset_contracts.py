from __future__ import annotations

from decimal import Decimal

from aurora_ingest.transforms.ledger_unit import PARTITION
from aurora_ingest.transforms.processors.asset_contracts import TABLE, asset_contract_partials, asset_contract_rows
from entry_batches import USD, balance, entries, hash_of, instance, joined, unit_with


def test_partials_hold_instances_and_balances_only() -> None:
    other = {"key_hash": hash_of(5)}
    found = asset_contract_partials(entries("contract_data", other, balance(6, 7), instance(8), other))
    nothing = dict.fromkeys((*USD, "amount"))
    assert found.to_pylist() == [
        nothing | {"key_hash": hash_of(6), "contract_id": hash_of(1), "kind": 2, "amount": Decimal(7)},
        {"key_hash": hash_of(8), "contract_id": hash_of(1), "kind": 1, "amount": None, **USD},
    ]


def test_an_instance_lives_up_to_and_in_its_last_ledger() -> None:
    rows = joined((instance(1), 99), (instance(2), 100), (balance(3, 5), 200), (instance(4), 2**32 - 1))
    place = {"contract_id": hash_of(1), **USD}
    assert asset_contract_rows(rows, 100).to_pylist() == [
        {"key_hash": hash_of(2), "expiration_ledger": 100, **place},
        {"key_hash": hash_of(4), "expiration_ledger": 2**32 - 1, **place},
    ]


def test_the_unit_tells_the_ledger() -> None:
    post = {"asset_contract_rows": joined((instance(1), 100), (instance(2), 101))}
    assert TABLE.rows(unit_with(post, PARTITION)).num_rows == 2
    later = TABLE.rows(unit_with(post, PARTITION, first_ledger=101, last_ledger=101))
    assert later.column("key_hash").to_pylist() == [hash_of(2)]
