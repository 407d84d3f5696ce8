from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_ingest.transforms.row_group_file import RowGroupFile, read_between

_SCHEMA = pa.schema(
    [
        pa.field("ledger", pa.int64(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("many", pa.list_(pa.string())),
        pa.field("span", pa.struct([pa.field("lower", pa.int64()), pa.field("upper", pa.int64())])),
    ]
)


def _rows(count: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {
                "ledger": number // 3,
                "text": hashlib.sha256(str(number).encode()).hexdigest(),
                "kind": None if number % 7 == 0 else f"kind {number % 4}",
                "many": [str(number)] * (number % 3),
                "span": None if number % 2 else {"lower": number, "upper": None},
            }
            for number in range(count)
        ],
        _SCHEMA,
    )


def _write(path: Path, rows: pa.RecordBatch, cuts: list[int], group_rows: int = 50) -> tuple[int, str]:
    file = RowGroupFile(path, _SCHEMA, group_rows)
    edges = [0, *sorted(cuts), rows.num_rows]
    for start, end in itertools.pairwise(edges):
        file.write(rows.slice(start, end - start))
    assert file.rows == rows.num_rows
    return file.close()


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 333), max_size=12))
def test_the_bytes_do_not_depend_on_how_the_rows_came(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("files")
    rows = _rows(333)
    expected = _write(folder / "whole.parquet", rows, [])
    assert _write(folder / "cut.parquet", rows, cuts) == expected
    data = (folder / "cut.parquet").read_bytes()
    assert data == (folder / "whole.parquet").read_bytes()
    assert expected == (len(data), hashlib.sha256(data).hexdigest())


def test_row_groups_begin_at_fixed_rows(tmp_path: Path) -> None:
    rows = _rows(333)
    _write(tmp_path / "a.parquet", rows, [1, 49, 51, 200])
    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [50] * 6 + [33]
    assert file.read().equals(pa.Table.from_batches([rows]))


def test_a_file_without_rows_has_its_schema(tmp_path: Path) -> None:
    _write(tmp_path / "empty.parquet", _rows(0), [])
    assert pq.read_table(tmp_path / "empty.parquet").schema.equals(_SCHEMA)


@pytest.mark.parametrize("least,greatest", [(0, 110), (20, 20), (17, 33), (-5, 3), (111, 500), (16, 17)])
def test_rows_between_two_ledgers(least: int, greatest: int, tmp_path: Path) -> None:
    rows = _rows(333)
    _write(tmp_path / "a.parquet", rows, [])
    found = [
        row for batch in read_between(tmp_path / "a.parquet", "ledger", least, greatest) for row in batch.to_pylist()
    ]
    assert found == [row for row in rows.to_pylist() if least <= row["ledger"] <= greatest]


def test_an_abandoned_file_is_no_parquet_file(tmp_path: Path) -> None:
    with RowGroupFile(tmp_path / "a.parquet", _SCHEMA, 50) as file:
        file.write(_rows(20))
    assert (tmp_path / "a.parquet").stat().st_size == 0
