from __future__ import annotations

import json

import pyarrow as pa

from aurora_ingest.transforms.processors import sum_partials
from aurora_ingest.transforms.processors.exp_asset_stats import asset_stat_partials, asset_stat_rows
from entry_batches import entries

USD = {"asset_type": 1, "asset_code": "USD", "asset_issuer": "GI"}


def line(balance: int, flags: int, **asset: object) -> dict[str, object]:
    return {**USD, **asset, "balance": balance, "flags": flags}


def partials(*lines: dict[str, object], balances: int = 0, pools: int = 0) -> pa.RecordBatch:
    pool = {"a_asset_type": 0, "reserve_a": 9, "reserve_b": 50, **{f"b_{name}": value for name, value in USD.items()}}
    return asset_stat_partials(
        entries("trust_line", *lines),
        entries("claimable_balance", *({**USD, "amount": 7} for _ in range(balances))),
        entries("liquidity_pool", *(pool for _ in range(pools))),
    )


def stats(*parts: pa.RecordBatch) -> list[tuple[str, dict[str, int], dict[str, str]]]:
    rows = asset_stat_rows(sum_partials("exp_asset_stats", parts)).to_pylist()
    return [(row["asset_code"], json.loads(row["accounts"]), json.loads(row["balances"])) for row in rows]


def test_holders_and_amounts_are_told_apart_by_authorization_and_place() -> None:
    one = partials(line(1, 1), line(2, 1 | 4), line(30, 2), line(400, 0), balances=2)
    two = partials(line(5, 4), pools=1)
    assert stats(one, two) == [
        (
            "USD",
            {
                "authorized": 2,
                "unauthorized": 2,
                "liquidity_pools": 1,
                "claimable_balances": 2,
                "authorized_to_maintain_liabilities": 1,
            },
            {
                "authorized": "3",
                "unauthorized": "405",
                "liquidity_pools": "50",
                "claimable_balances": "14",
                "authorized_to_maintain_liabilities": "30",
            },
        )
    ]


def test_native_and_pool_shares_have_no_statistics_and_sums_do_not_overflow() -> None:
    largest = 2**63 - 1
    shares = line(5, 1, asset_type=3, asset_code=None, asset_issuer=None)
    part = partials(*[line(largest, 1)] * 3, shares)
    ((code, accounts, balances),) = stats(part, part)
    assert (code, accounts["authorized"], balances["authorized"]) == ("USD", 6, str(6 * largest))


def test_the_text_is_what_postgresql_prints() -> None:
    (row,) = asset_stat_rows(sum_partials("exp_asset_stats", [partials(line(1, 1))])).to_pylist()
    assert row["accounts"] == (
        '{"authorized": 1, "unauthorized": 0, "liquidity_pools": 0, "claimable_balances": 0, '
        '"authorized_to_maintain_liabilities": 0}'
    )
