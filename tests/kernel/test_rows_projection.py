"""Projections: a column is the same whichever others are asked for, and nothing else is built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from aurora_ingest import _kernel
from kernel.framing import bucket_of, inflated_files, is_hot
from kernel.sdk_rows import TABLES

NETWORK_ID = bytes(range(32))
TTL = bytes(3) + b"\x07" + bytes(3) + b"\x09" + b"\xaa" * 32 + bytes(3) + b"\x63" + bytes(4)


def decode(data: bytes, columns: dict[str, Sequence[str] | None]) -> dict[str, pa.RecordBatch]:
    batches = _kernel.read_bucket(data, compression="none", columns=columns, network_id=NETWORK_ID, check_order=False)
    return {table: pa.record_batch(batch) for table, batch in batches.items()}


@pytest.mark.shared_data
def test_a_column_alone_is_the_column_among_all(shared_data: Path) -> None:
    rows = dict.fromkeys(TABLES, 0)
    for data in inflated_files(shared_data / "standalone-p23/archive", "bucket"):
        if is_hot(data):
            continue
        whole = decode(data, dict.fromkeys(TABLES))
        width = max(batch.num_columns for batch in whole.values())
        for at in range(width):
            wanted = {table: [batch.schema.names[at % batch.num_columns]] for table, batch in whole.items()}
            for table, batch in decode(data, wanted).items():
                assert batch == whole[table].select(wanted[table])
        for table, batch in whole.items():
            rows[table] += batch.num_rows
    assert all(rows.values()), rows


@pytest.mark.parametrize("batch_rows", [1, 2, 7])
def test_batches_laid_end_to_end_are_the_whole(batch_rows: int) -> None:
    data = bucket_of([TTL] * 20)
    decoder = _kernel.BucketDecoder(columns={"ttl": None}, compression="none", batch_rows=batch_rows, check_order=False)
    found = [*decoder.feed(data), *decoder.finish()]
    batches = [pa.record_batch(batch) for _, batch in found]
    assert [batch.num_rows for batch in batches] == [batch_rows] * (20 // batch_rows) + [20 % batch_rows] * (
        20 % batch_rows > 0
    )
    whole = decode(data, {"ttl": None})["ttl"]
    assert pa.Table.from_batches(batches).combine_chunks() == pa.Table.from_batches([whole])


def test_columns_stand_in_the_order_of_the_schema() -> None:
    batch = decode(bucket_of([TTL]), {"ttl": ["live_until_ledger", "key_hash", "last_modified_ledger"]})["ttl"]
    assert batch.schema.names == ["key_hash", "last_modified_ledger", "live_until_ledger"]
    assert batch.to_pylist() == [{"key_hash": b"\xaa" * 32, "last_modified_ledger": 7, "live_until_ledger": 99}]


def test_no_columns_at_all_still_count_rows() -> None:
    batch = decode(bucket_of([TTL, TTL]), {"ttl": []})["ttl"]
    assert (batch.num_rows, batch.num_columns) == (2, 0)


def test_tables_that_are_not_asked_for_are_not_built() -> None:
    assert decode(bucket_of([TTL]), {"account": ["balance"]}).keys() == {"account"}


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no entry table accounts; there are account, trust_line"):
        _kernel.BucketDecoder(columns={"accounts": None})
    with pytest.raises(ValueError, match=r"entry table ttl has no column live_until; it has .*live_until_ledger"):
        _kernel.BucketDecoder(columns={"ttl": ["live_until"]})


def test_every_table_starts_with_the_same_columns() -> None:
    assert _kernel.ENTRY_TYPES == TABLES
    common = pa.schema(_kernel.entry_schema("account"))
    for table in TABLES:
        schema = pa.schema(_kernel.entry_schema(table))
        assert [schema.field(at) for at in range(8)] == [common.field(at) for at in range(8)]
        assert len(set(schema.names)) == len(schema.names)
