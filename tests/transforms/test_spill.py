from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.transforms.ledger_unit import LedgerUnit, Receipt
from aurora_ingest.transforms.spill import SpillPartials, partition_batches, partition_of, read_spill
from aurora_ingest.transforms.work_dir import WorkDir
from support import EagerPipeline

hashes = st.lists(st.binary(min_size=32, max_size=32), max_size=40)


def ttl_batch(keys: list[bytes]) -> pa.RecordBatch:
    return pa.record_batch(
        {"key_hash": pa.array(keys, pa.binary(32)), "live_until_ledger": pa.array(range(len(keys)), pa.int64())}
    )


@given(hashes, st.integers(1, 256), st.integers(0, 5))
def test_partitions_hold_every_row_once_and_ascend_with_the_hash(
    keys: list[bytes], partitions: int, skipped: int
) -> None:
    batch = ttl_batch(keys).slice(min(skipped, len(keys)))
    parts = partition_batches(batch, partitions)
    assert len(parts) == partitions
    assert sorted(row["live_until_ledger"] for part in parts for row in part.to_pylist()) == sorted(
        batch.column("live_until_ledger").to_pylist()
    )
    for number, part in enumerate(parts):
        assert all(key[0] * partitions // 256 == number for key in part.column("key_hash").to_pylist())
    ordered = pa.array(sorted(keys), pa.binary(32))
    assert sorted(partition_of(ordered, partitions)) == list(partition_of(ordered, partitions))


def test_partials_become_files_named_in_the_receipt(tmp_path: Path) -> None:
    work = WorkDir(str(tmp_path))
    keys = [bytes([first]) * 32 for first in (200, 3, 255, 0)]
    sums = pa.record_batch({"asset": pa.array(["A"])})
    unit = LedgerUnit(
        "range",
        7,
        False,
        63,
        63,
        {},
        {},
        {"partial:ttl": ttl_batch(keys), "partial:exp_asset_stats": sums, "partial:asset_contracts": ttl_batch([])},
        Receipt("range", 7, False),
    )
    (spilled,) = EagerPipeline().run([unit], SpillPartials(work, 4))
    by_name = {spill.partial: spill for spill in spilled.receipt.spills}
    assert set(by_name) == {"ttl", "exp_asset_stats"}
    assert [read_spill(work, by_name["ttl"], p).num_rows for p in range(4)] == [2, 0, 0, 2]
    assert read_spill(work, by_name["exp_asset_stats"]) == sums
    assert by_name["ttl"].rows == 4


def test_a_finished_unit_is_left_alone(tmp_path: Path) -> None:
    unit = LedgerUnit("range", 7, False, 63, 63, {}, {}, {}, Receipt("range", 7, False), done=True)
    assert EagerPipeline().run([unit], SpillPartials(WorkDir(str(tmp_path)), 4)) == [unit]
    assert list(tmp_path.iterdir()) == []
