from __future__ import annotations

from aurora_ingest.transforms.processors.accounts import SCHEMA, account_rows
from entry_batches import entries


def test_a_plain_account_has_empty_texts_and_null_times() -> None:
    (row,) = account_rows(entries("account", {"account_id": "GA", "balance": 2**63 - 1})).to_pylist()
    assert (row["account_id"], row["balance"]) == ("GA", 2**63 - 1)
    assert (row["inflation_destination"], row["home_domain"]) == ("", "")
    assert (row["sequence_ledger"], row["sequence_time"], row["sponsor"]) == (None, None, None)
    assert (row["num_sponsored"], row["num_sponsoring"]) == (0, 0)


def test_a_domain_that_is_no_text_keeps_its_bytes() -> None:
    odd = {"home_domain": b"exa\0mple.org", "home_domain_text": "exa\\0mple.org"}
    plain = {"home_domain": "é.org".encode(), "home_domain_text": "é.org"}
    rows = account_rows(entries("account", odd, plain)).to_pylist()
    assert [row["home_domain_bytes"] for row in rows] == [b"exa\0mple.org", None]


def test_no_account_makes_an_empty_batch_of_the_schema() -> None:
    assert account_rows(entries("account")).schema == SCHEMA
