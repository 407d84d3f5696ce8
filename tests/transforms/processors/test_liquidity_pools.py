from __future__ import annotations

from aurora_ingest.transforms.processors.liquidity_pools import liquidity_pool_rows
from entry_batches import entries


def test_reserves_are_printed_as_postgresql_prints_jsonb() -> None:
    pool = {
        "pool_id": "ab",
        "fee": 30,
        "a_asset_base64": "AAAAAA==",
        "b_asset_base64": "AAAAAQ==",
        "reserve_a": 2**63 - 1,
        "reserve_b": 0,
        "total_shares": 9,
        "trustline_count": 2,
    }
    (row,) = liquidity_pool_rows(entries("liquidity_pool", pool)).to_pylist()
    assert row["asset_reserves"] == (
        '[{"asset": "AAAAAA==", "reserve": "9223372036854775807"}, {"asset": "AAAAAQ==", "reserve": "0"}]'
    )
    assert (row["id"], row["fee"], row["share_count"], row["trustline_count"]) == ("ab", 30, 9, 2)
    assert row["deleted"] is False
