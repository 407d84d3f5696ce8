from __future__ import annotations

from aurora_ingest.transforms.processors.contract_code import contract_code_rows
from entry_batches import entries


def test_code_of_before_protocol_21_has_no_cost_inputs() -> None:
    old = {"hash": b"a" * 32, "code": b"\0asm", "code_size": 4}
    new = {"hash": b"b" * 32, "ext_version": 1, "n_instructions": 2**32 - 1, "n_data_segment_bytes": 0}
    rows = contract_code_rows(entries("contract_code", old, new)).to_pylist()
    assert [(row["hash"], row["code"], row["code_size"]) for row in rows] == [
        (b"a" * 32, b"\0asm", 4),
        (b"b" * 32, b"", 0),
    ]
    assert [(row["n_instructions"], row["n_data_segment_bytes"]) for row in rows] == [(None, None), (2**32 - 1, 0)]
