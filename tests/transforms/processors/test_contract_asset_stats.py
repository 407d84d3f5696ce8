from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from aurora_ingest.transforms.processors import PARTIAL_SCHEMAS, sum_partials
from aurora_ingest.transforms.processors.columns import empty
from aurora_ingest.transforms.processors.contract_asset_stats import (
    contract_asset_stat_partials,
    contract_asset_stat_rows,
)
from entry_batches import I128_MAX, balance, hash_of, instance, joined

SCHEMA = PARTIAL_SCHEMAS["contract_asset_stats"]


def test_living_balances_are_counted_and_a_zero_is_one() -> None:
    rows = joined((balance(1, 0), 100), (balance(2, 5), 100), (balance(3, 9), 99), (instance(4), 100))
    stats = contract_asset_stat_rows(contract_asset_stat_partials(rows, 100))
    assert stats.to_pylist() == [{"contract_id": hash_of(1), "stat": '{"balance": "5", "holders": 2}'}]


def test_sums_of_many_partitions_are_exact_beyond_39_digits() -> None:
    partials = contract_asset_stat_partials(joined((balance(1, I128_MAX), 100), (balance(2, I128_MAX), 100)), 100)
    (row,) = contract_asset_stat_rows(sum_partials("contract_asset_stats", [partials] * 5)).to_pylist()
    assert row["stat"] == f'{{"balance": "{10 * I128_MAX}", "holders": 10}}'


def test_sums_are_sorted_by_contract_whatever_the_order_of_units() -> None:
    batches = [
        contract_asset_stat_partials(joined((balance(n, n, contract=c), 100)), 100)
        for n, c in ((1, 5), (2, 6), (3, 5), (4, 7))
    ]
    total = sum_partials("contract_asset_stats", batches)
    assert total.equals(sum_partials("contract_asset_stats", reversed(batches)))
    assert total.column("contract_id").to_pylist() == sorted(hash_of(c) for c in (5, 6, 7))
    amounts = dict(zip(total.column("contract_id").to_pylist(), total.column("balance").to_pylist(), strict=True))
    assert amounts == {hash_of(5): 4, hash_of(6): 2, hash_of(7): 4}


def test_contracts_without_holders_are_left_out() -> None:
    rows = [{"contract_id": hash_of(n), "balance": Decimal(0), "holders": n} for n in range(2)]
    left = contract_asset_stat_rows(pa.RecordBatch.from_pylist(rows, SCHEMA))
    assert left.column("contract_id").to_pylist() == [hash_of(1)]


def test_nothing_sums_up_to_nothing() -> None:
    assert contract_asset_stat_partials(joined(), 100).equals(empty(SCHEMA))
    assert sum_partials("contract_asset_stats", []).equals(empty(SCHEMA))


@pytest.mark.parametrize("name", ["asset_contracts", "ttl", "accounts"])
def test_only_sums_can_be_added(name: str) -> None:
    with pytest.raises(KeyError):
        sum_partials(name, [])
