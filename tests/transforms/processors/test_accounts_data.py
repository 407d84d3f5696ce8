from __future__ import annotations

from aurora_ingest.transforms.processors.accounts_data import account_data_rows
from entry_batches import entries


def test_key_and_value_are_base64_and_odd_names_keep_their_bytes() -> None:
    rows = account_data_rows(
        entries(
            "data",
            {"ledger_key_base64": "AAAA", "account_id": "GA", "name": b"n", "name_text": "n", "value_base64": "eA=="},
            {"name": b"\xff", "name_text": "\\xff", "sponsor": "GS", "last_modified_ledger": 4_000_000_000},
        )
    ).to_pylist()
    assert (rows[0]["ledger_key"], rows[0]["name"], rows[0]["value"]) == ("AAAA", "n", "eA==")
    assert [row["name_bytes"] for row in rows] == [None, b"\xff"]
    assert (rows[1]["sponsor"], rows[1]["last_modified_ledger"]) == ("GS", 4_000_000_000)
