from __future__ import annotations

import pyarrow as pa
import pytest
from apache_beam.coders import registry
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.transforms.ledger_unit import (
    LedgerUnit,
    LedgerUnitCoder,
    ParquetPart,
    Receipt,
    RecordBatchCoder,
    SpillFile,
)

names = st.text(alphabet="abcdefg_:", min_size=1, max_size=8)
counts = st.dictionaries(names, st.integers(0, 2**40), max_size=3)
receipts = st.builds(
    Receipt,
    kind=st.sampled_from(["range", "partition", "totals", "chunk", "ledger"]),
    index=st.integers(0, 10_000),
    last=st.booleans(),
    first_key=st.binary(max_size=40).map(bytes.hex),
    entries=counts,
    rows=counts,
    spills=st.lists(st.builds(SpillFile, names, names, st.integers(0, 99), st.booleans()), max_size=2).map(tuple),
    parts=st.lists(st.builds(ParquetPart, names, names, st.integers(), st.integers(), names), max_size=2).map(tuple),
)
batches = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.none() | st.text(max_size=5)), max_size=5).map(
    lambda rows: pa.record_batch(
        [pa.array([row[0] for row in rows], pa.int64()), pa.array([row[1] for row in rows], pa.string())],
        names=["number", "text"],
    )
)
sides = st.dictionaries(names, batches, max_size=2)
units = receipts.flatmap(
    lambda receipt: st.builds(
        LedgerUnit,
        kind=st.just(receipt.kind),
        index=st.just(receipt.index),
        last=st.just(receipt.last),
        first_ledger=st.integers(1, 2**32 - 1),
        last_ledger=st.integers(1, 2**32 - 1),
        pre=sides,
        post=sides,
        tables=sides,
        receipt=st.just(receipt),
        done=st.booleans(),
        decoded=sides,
        removed=st.none() | batches,
        chunk=st.none() | st.tuples(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1)),
    )
)


@given(units)
def test_a_unit_survives_its_coder(unit: LedgerUnit) -> None:
    coder = registry.get_coder(LedgerUnit)
    encoded = coder.encode(unit)
    assert coder.decode(encoded) == unit
    assert coder.encode(coder.decode(encoded)) == encoded


@given(receipts)
def test_a_receipt_survives_its_coder(receipt: Receipt) -> None:
    coder = registry.get_coder(Receipt)
    assert coder.decode(coder.encode(receipt)) == receipt


def test_a_slice_costs_its_own_rows_only() -> None:
    batch = pa.record_batch([pa.array(range(100_000))], names=["n"])
    assert len(RecordBatchCoder().encode(batch.slice(7, 5))) < 1000


def test_a_table_is_filled_once() -> None:
    unit = LedgerUnit("range", 3, True, 63, 63, {}, {}, {}, Receipt("range", 3, True))
    batch = pa.record_batch([pa.array([1])], names=["n"])
    filled = unit.with_table("ttl", batch)
    assert filled.row_tables == {"ttl": batch}
    with pytest.raises(ValueError, match="unit range 3: table ttl was filled twice"):
        filled.with_table("ttl", batch)


def test_partial_tables_are_not_rows_for_sinks() -> None:
    batch = pa.record_batch([pa.array([1])], names=["n"])
    unit = LedgerUnit("range", 0, True, 63, 63, {}, {}, {"partial:ttl": batch}, Receipt("range", 0, True))
    assert unit.row_tables == {}


def test_the_size_of_a_unit_is_told_without_encoding_it(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = pa.record_batch([pa.array(range(1000), pa.int64())], names=["n"])
    unit = LedgerUnit("range", 0, True, 63, 63, {}, {"ttl": batch}, {"ttl": batch}, Receipt("range", 0, True))
    coder = LedgerUnitCoder()
    monkeypatch.setattr(LedgerUnitCoder, "encode", None)
    assert coder.estimate_size(unit) == 16_000
    assert RecordBatchCoder().estimate_size(batch.slice(10, 10)) == 80
