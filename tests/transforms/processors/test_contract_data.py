from __future__ import annotations

from aurora_ingest.transforms.processors.contract_data import contract_data_rows
from entry_batches import entries


def test_key_and_value_are_kept_as_xdr_with_their_types() -> None:
    entry = {
        "key_hash": b"h" * 32,
        "contract": "CA",
        "contract_id": b"c" * 32,
        "key_type": "vec",
        "key_xdr": b"\0\0\0\x10",
        "durability": "temporary",
        "value_type": "void",
        "value_xdr": b"\0\0\0\1",
        "last_modified_ledger": 5,
    }
    (row,) = contract_data_rows(entries("contract_data", entry)).to_pylist()
    assert (row["key"], row["value"]) == (entry["key_xdr"], entry["value_xdr"])
    same = ("key_hash", "contract", "contract_id", "key_type", "durability", "value_type", "last_modified_ledger")
    assert {name: row[name] for name in same} == {name: entry[name] for name in same}
