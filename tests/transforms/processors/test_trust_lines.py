from __future__ import annotations

from aurora_ingest.transforms.processors.trust_lines import trust_line_rows
from entry_batches import entries


def test_an_asset_has_no_pool_and_a_pool_share_no_asset() -> None:
    asset = {"asset_type": 1, "asset_code": "USD", "asset_issuer": "GI", "balance": 5, "ledger_key_base64": "AAAB"}
    share = {"asset_type": 3, "liquidity_pool_id": "ab" * 32, "trust_line_limit": 2**63 - 1}
    rows = trust_line_rows(entries("trust_line", asset, share)).to_pylist()
    shown = [(r["asset_type"], r["asset_code"], r["asset_issuer"], r["liquidity_pool_id"]) for r in rows]
    assert shown == [(1, "USD", "GI", ""), (3, "", "", "ab" * 32)]
    assert (rows[0]["ledger_key"], rows[1]["trust_line_limit"]) == ("AAAB", 2**63 - 1)
