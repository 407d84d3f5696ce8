from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
import pytest

from aurora_ingest.ledger.genesis import genesis_changes
from aurora_ingest.network import STANDALONE
from aurora_ingest.transforms.verify_fingerprints import CHANGE_SCHEMA, STATE_SCHEMA
from aurora_ingest.transforms.verify_pairs import broken_links

KEY = genesis_changes(STANDALONE).column("ledger_key")[0].as_py()
EARLIER = 63


def _hash(text: str | None) -> bytes | None:
    return None if text is None else hashlib.sha256(text.encode()).digest()


def _state(**entries: str) -> pa.Table:
    rows = [{"key_hash": _hash(key), "entry_hash": _hash(entry)} for key, entry in entries.items()]
    return pa.Table.from_pylist(rows, STATE_SCHEMA)


def _changes(*changes: tuple[str, int, str | None, str | None]) -> pa.Table:
    """Of each: key, ledger, entry before ("?" for not known) and entry after."""
    rows: list[dict[str, Any]] = [
        {
            "key_hash": _hash(key),
            "entry_hash": _hash(after),
            "before_hash": None if before == "?" else _hash(before),
            "before_known": before != "?",
            "ledger_key": KEY,
            "ledger_sequence": ledger,
        }
        for key, ledger, before, after in changes
    ]
    return pa.Table.from_pylist(rows, CHANGE_SCHEMA)


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [("a", 64, "1", "2"), ("a", 65, "2", "3"), ("a", 70, "3", None)],
        [("new", 64, None, "1"), ("new", 65, "1", None), ("new", 66, None, "2")],
        [("a", 64, "?", "9"), ("a", 65, "9", "1"), ("new", 64, "?", "5")],
        [("a", 64, "1", "2"), ("b", 64, "1", None)],
    ],
)
def test_changes_that_start_from_what_was_there(changes: list[tuple[str, int, str | None, str | None]]) -> None:
    assert list(broken_links(_state(a="1", b="1", c="7"), _changes(*changes), EARLIER)) == []


@pytest.mark.parametrize(
    "changes,ledger,left",
    [
        ([("a", 64, "8", "2")], 64, 63),
        ([("a", 64, None, "2")], 64, 63),
        ([("new", 64, "1", "2")], 64, 63),
        ([("a", 64, "1", "2"), ("a", 66, "1", "3")], 66, 64),
        ([("a", 64, "1", None), ("a", 66, "1", "3")], 66, 64),
        ([("a", 64, "?", None), ("a", 66, "1", "3")], 66, 64),
    ],
)
def test_changes_that_start_from_something_else_are_named(
    changes: list[tuple[str, int, str | None, str | None]], ledger: int, left: int
) -> None:
    ((found, why),) = broken_links(_state(a="1", b="1"), _changes(*changes), EARLIER)
    assert found == ledger
    assert why.endswith(f"does not start from what ledger {left} left")
    assert '{"account":' in why
