from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.transforms.processors.accounts_signers import account_signer_rows
from entry_batches import entries


def signer(key: str, weight: int, sponsor: str | None = None) -> dict[str, Any]:
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


def in_python(accounts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    rows = []
    for entry in accounts:
        account_id, weight = entry["account_id"], entry["master_weight"]
        rows += [(account_id, account_id, weight, None)] * (weight > 0)
        rows += [(account_id, listed["key"], listed["weight"], listed["sponsor"]) for listed in entry["signers"]]
    return rows


KEYS = st.sampled_from(["T1", "X1", "P1", "GK"])
SIGNERS = st.lists(st.builds(signer, KEYS, st.integers(1, 2**32 - 1), st.none() | st.just("GS")), max_size=4)


@given(st.lists(st.tuples(st.integers(0, 2), SIGNERS), max_size=12), st.integers(0, 4), st.integers(0, 12))
def test_rows_are_those_of_the_loop_on_any_slice(
    shapes: list[tuple[int, list[dict[str, Any]]]], start: int, length: int
) -> None:
    accounts = [
        {"account_id": f"G{number}", "master_weight": weight, "signers": signers}
        for number, (weight, signers) in enumerate(shapes)
    ]
    rows = account_signer_rows(entries("account", *accounts).slice(start, length))
    assert [tuple(row.values()) for row in rows.to_pylist()] == in_python(accounts[start : start + length])
