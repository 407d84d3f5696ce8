from __future__ import annotations

import json
from pathlib import Path

import pytest

from aurora_ingest.transforms.processors import PROCESSORS
from differential.built_state import built_state
from differential.comparison import assert_same_rows, postgres_text
from differential.exact_csv import parse_csv, read_csv
from differential.horizon import CASES, HORIZON_TABLES, OUR_COLUMNS

pytestmark = pytest.mark.shared_data

PRIMARY_KEYS = {process.spec.name: process.spec.primary_key for process in PROCESSORS}


@pytest.mark.parametrize("table", HORIZON_TABLES)
@pytest.mark.parametrize("case", CASES)
def test_every_row_and_column_is_horizons(case: str, table: str, shared_data: Path) -> None:
    archive, checkpoint, passphrase = CASES[case]
    built = built_state(shared_data / "public/stellar-archivist" / archive, checkpoint, passphrase)[table]
    header, expected = read_csv(shared_data / "oracle/horizon-state" / case / f"{table}.csv.zst")

    assert set(built.schema.names) - OUR_COLUMNS.get(table, set()) == set(header)
    assert tuple(name for name in built.schema.names if name in header) == header
    columns = [[postgres_text(value) for value in built.column(name).to_pylist()] for name in header]
    ours = (dict(zip(header, row, strict=True)) for row in zip(*columns, strict=True))
    theirs = (dict(zip(header, row, strict=True)) for row in expected)
    assert_same_rows(f"{case} {table}", ours, theirs, PRIMARY_KEYS[table])


@pytest.mark.parametrize("case", CASES)
def test_row_counts_are_horizons(case: str, shared_data: Path) -> None:
    archive, checkpoint, passphrase = CASES[case]
    built = built_state(shared_data / "public/stellar-archivist" / archive, checkpoint, passphrase)
    counts = json.loads((shared_data / "oracle/horizon-state" / case / "counts.json").read_text())
    assert {table: built[table].num_rows for table in HORIZON_TABLES} == {
        table: counts[table] for table in HORIZON_TABLES
    }


def test_csv_reader_tells_null_from_empty() -> None:
    assert parse_csv('a,b,c\n,"",x\n"1,2","say ""so""","two\nlines"\n') == (
        ("a", "b", "c"),
        [(None, "", "x"), ("1,2", 'say "so"', "two\nlines")],
    )
    assert parse_csv("a,b\n,1\n") == (("a", "b"), [(None, "1")])


def test_csv_reader_refuses_what_is_cut_off() -> None:
    with pytest.raises(ValueError, match="no CSV from character 4 on"):
        parse_csv('a,b\n"1,2\n')
