from __future__ import annotations

from decimal import Decimal

from aurora_ingest.transforms.processors.contract_asset_balances import contract_asset_balance_rows
from entry_batches import I128_MAX, balance, hash_of, instance, joined


def test_balances_live_up_to_and_in_their_last_ledger() -> None:
    rows = joined((balance(1, 5), 99), (balance(2, I128_MAX), 100), (instance(3), 200), (balance(4, 0, 9), 2**32 - 1))
    assert contract_asset_balance_rows(rows, 100).to_pylist() == [
        {
            "key_hash": hash_of(2),
            "asset_contract_id": hash_of(1),
            "amount": Decimal(I128_MAX),
            "expiration_ledger": 100,
        },
        {
            "key_hash": hash_of(4),
            "asset_contract_id": hash_of(9),
            "amount": Decimal(0),
            "expiration_ledger": 2**32 - 1,
        },
    ]
