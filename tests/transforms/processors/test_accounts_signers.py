from __future__ import annotations

from aurora_ingest.transforms.processors.accounts_signers import account_signer_rows
from entry_batches import entries


def signer(key: str, weight: int, sponsor: str | None = None) -> dict[str, object]:
    return {"key": key, "weight": weight, "sponsor": sponsor}


def test_the_master_key_comes_first_and_only_while_it_weighs() -> None:
    batch = entries(
        "account",
        {"account_id": "GA", "master_weight": 1, "signers": [signer("X1", 2), signer("T1", 1, "GS")]},
        {"account_id": "GB", "master_weight": 0, "signers": [signer("G9", 255)]},
        {"account_id": "GC", "master_weight": 0, "signers": []},
        {"account_id": "GD", "master_weight": 3, "signers": []},
    )
    assert [tuple(row.values()) for row in account_signer_rows(batch).to_pylist()] == [
        ("GA", "GA", 1, None),
        ("GA", "X1", 2, None),
        ("GA", "T1", 1, "GS"),
        ("GB", "G9", 255, None),
        ("GD", "GD", 3, None),
    ]


def test_accounts_without_signers_have_their_master_key_alone() -> None:
    batch = entries("account", {"account_id": "GA", "master_weight": 0}, {"account_id": "GB", "master_weight": 7})
    assert [tuple(row.values()) for row in account_signer_rows(batch).to_pylist()] == [("GB", "GB", 7, None)]
