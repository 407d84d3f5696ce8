from __future__ import annotations

from aurora_ingest.transforms.processors.ttl import ttl_partials, ttl_rows
from entry_batches import entries


def test_expired_rows_are_kept_and_put_aside_like_any_other() -> None:
    batch = entries("ttl", {"key_hash": b"a" * 32, "live_until_ledger": 1, "last_modified_ledger": 9})
    assert ttl_rows(batch).to_pylist() == [{"key_hash": b"a" * 32, "live_until_ledger": 1, "last_modified_ledger": 9}]
    assert ttl_partials(batch).to_pylist() == [{"key_hash": b"a" * 32, "live_until_ledger": 1}]
