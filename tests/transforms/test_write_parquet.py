from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from aurora_ingest.errors import UnfinishedBuildError
from aurora_ingest.transforms.ledger_unit import LedgerUnit, Receipt
from aurora_ingest.transforms.write_parquet import (
    ParquetDataset,
    WriteToParquet,
    dictionary_columns,
    parquet_bytes,
    statistics_columns,
)
from support import EagerPipeline

FACTS = {"network_passphrase": "test"}


def unit(index: int, values: list[int], *, last: bool = False) -> LedgerUnit:
    batch = pa.record_batch({"n": pa.array(values, pa.int64()), "name": pa.array([str(v) for v in values])})
    return LedgerUnit("range", index, last, 63, 63, {}, {}, {"numbers": batch}, Receipt("range", index, last))


def write(dataset: ParquetDataset, *units: LedgerUnit) -> list[Receipt]:
    return [written.receipt for written in EagerPipeline().run(units, WriteToParquet(dataset))]


def published(root: Path) -> list[int]:
    return sorted(ds.dataset(root / "numbers", format="parquet").to_table().column("n").to_pylist())


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_nothing_is_visible_before_publish_and_a_rerun_replaces(tmp_path: Path) -> None:
    first = ParquetDataset(str(tmp_path), "a" * 32, 63)
    first.open(resume=False, abandon=False)
    receipts = write(first, unit(0, [1, 2]), unit(1, []), unit(2, [5], last=True))
    assert not (tmp_path / "numbers").exists()
    first.publish(["numbers"], receipts, FACTS)
    assert published(tmp_path) == [1, 2, 5]
    before = files(tmp_path)
    assert sorted(before) == [
        "manifests/checkpoint=63.json",
        "numbers/checkpoint=63/part-00000.parquet",
        "numbers/checkpoint=63/part-00002.parquet",
    ]

    second = ParquetDataset(str(tmp_path), "b" * 32, 63)
    second.open(resume=False, abandon=False)
    second.publish(["numbers"], write(second, unit(0, [9], last=True)), FACTS)
    assert published(tmp_path) == [9]
    assert sorted(files(tmp_path)) == ["manifests/checkpoint=63.json", "numbers/checkpoint=63/part-00000.parquet"]

    third = ParquetDataset(str(tmp_path), "a" * 32, 63)
    third.open(resume=False, abandon=False)
    third.publish(["numbers"], write(third, unit(0, [1, 2]), unit(1, []), unit(2, [5], last=True)), FACTS)
    assert files(tmp_path) == before


def test_the_manifest_tells_every_file(tmp_path: Path) -> None:
    dataset = ParquetDataset(str(tmp_path), "a" * 32, 63)
    dataset.open(resume=False, abandon=False)
    dataset.publish(["numbers"], write(dataset, unit(0, [1, 2], last=True)), FACTS)
    manifest = json.loads((tmp_path / dataset.manifest).read_text())
    (entry,) = manifest["tables"]["numbers"]["files"]
    data = (tmp_path / "numbers/checkpoint=63" / entry["name"]).read_bytes()
    assert (entry["rows"], entry["bytes"], manifest["checkpoint"]) == (2, len(data), 63)
    assert manifest["pyarrow"] == pa.__version__


def test_publishing_again_after_a_crash_in_between_finishes(tmp_path: Path) -> None:
    dataset = ParquetDataset(str(tmp_path), "a" * 32, 63)
    dataset.open(resume=False, abandon=False)
    receipts = write(dataset, unit(0, [1, 2], last=True))
    dataset._swap_in("numbers")
    dataset.publish(["numbers"], receipts, FACTS)
    assert published(tmp_path) == [1, 2]


def test_an_unfinished_build_is_taken_up_or_dropped_never_overlooked(tmp_path: Path) -> None:
    dataset = ParquetDataset(str(tmp_path), "a" * 32, 63)
    assert dataset.open(resume=False, abandon=False) == {}
    (receipt,) = write(dataset, unit(0, [1, 2]))
    with pytest.raises(UnfinishedBuildError, match=r"unfinished build aaaaaaaaaaaa .*--resume.*--abandon"):
        dataset.open(resume=False, abandon=False)
    assert dataset.open(resume=True, abandon=False) == {("range", 0): receipt}
    other = ParquetDataset(str(tmp_path), "b" * 32, 63)
    with pytest.raises(UnfinishedBuildError):
        other.open(resume=True, abandon=False)
    assert other.open(resume=False, abandon=True) == {}
    assert not (tmp_path / dataset.staging).exists()


def test_a_receipt_without_its_file_is_not_believed(tmp_path: Path) -> None:
    dataset = ParquetDataset(str(tmp_path), "a" * 32, 63)
    dataset.open(resume=False, abandon=False)
    write(dataset, unit(0, [1, 2]))
    (tmp_path / dataset.staging / "numbers" / "part-00000.parquet").write_bytes(b"cut")
    assert dataset.open(resume=True, abandon=False) == {}


def test_equal_rows_have_equal_bytes_however_they_were_put_together() -> None:
    whole = pa.record_batch({"n": pa.array(range(200_000)), "k": pa.array(["a", "b"] * 100_000)})
    copied = pa.Table.from_batches([whole.slice(0, 70_001), whole.slice(70_001)]).combine_chunks().to_batches()[0]
    assert parquet_bytes(whole) == parquet_bytes(copied)
    metadata = pq.read_metadata(pa.py_buffer(parquet_bytes(whole)))
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [65_536] * 3 + [3_392]


def test_columns_that_never_repeat_get_no_dictionary() -> None:
    batch = pa.record_batch({"key": pa.array([str(n) for n in range(50)]), "flag": pa.array([0, 1] * 25)})
    assert dictionary_columns(batch) == ["flag"]


def test_bounds_are_noted_of_the_first_column_and_of_numbers() -> None:
    texts = pa.array(["a", "b"])
    batch = pa.record_batch({"key": texts, "other": texts, "hash": texts.cast(pa.binary()), "n": pa.array([1, 2])})
    assert statistics_columns(batch.schema) == ["key", "n"]
    group = pq.read_metadata(pa.py_buffer(parquet_bytes(batch))).row_group(0)
    assert [group.column(i).is_stats_set for i in range(4)] == [True, False, False, True]
