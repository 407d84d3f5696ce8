"""History of the ledgers that stellar-core's own tests closed, against what Horizon made of them, file by file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from aurora_ingest.transforms.processors import history_by_table
from differential.closed_ledgers import CORE_TESTS, core_test_files, decoder, framed, history, made
from differential.exact_csv import Value, read_csv
from differential.horizon_history import assert_columns_equal

pytestmark = pytest.mark.shared_data

TABLES = ("history_ledgers", "history_transactions", "history_operations")
KEYS = {"history_ledgers": "sequence", "history_transactions": "id", "history_operations": "id"}
FILES, LEDGERS = 779, 14_385


@pytest.fixture(scope="module")
def ours(shared_data: Path) -> dict[str, dict[str, pa.Table]]:
    """History tables by file of the corpus."""
    found = {}
    for name, data in core_test_files(shared_data):
        kernel = decoder(CORE_TESTS, TABLES)
        for ledger in framed(data, "none"):
            kernel.push(ledger)
        found[name] = {table: pa.Table.from_batches([batch]) for table, batch in made(kernel, TABLES).items()}
    return found


def test_every_ledger_is_there(ours: dict[str, dict[str, pa.Table]]) -> None:
    assert len(ours) == FILES
    assert sum(tables["history_ledgers"].num_rows for tables in ours.values()) == LEDGERS


def test_rows_ascend_by_keys_that_no_other_row_has(shared_data: Path) -> None:
    """The five tables of the files with the most bytes: files in Parquet and primary keys in SQL rest on it."""
    largest = sorted(core_test_files(shared_data), key=lambda file: len(file[1]))[-40:]
    for name, data in largest:
        for table, rows in history(framed(data, "none"), CORE_TESTS).items():
            (key,) = (process.spec.primary_key for process in history_by_table([table]))
            keys = rows.select(list(key))
            assert keys.equals(keys.sort_by([(column, "ascending") for column in key])), f"{name} {table}"
            assert keys.group_by(list(key)).aggregate([]).num_rows == keys.num_rows, f"{name} {table}"


@pytest.mark.parametrize("table", TABLES)
def test_all_columns_equal_horizons(table: str, ours: dict[str, dict[str, pa.Table]], shared_data: Path) -> None:
    short = table.removeprefix("history_")
    header, rows = read_csv(shared_data / "oracle/horizon-core-tests" / f"{short}.csv.zst")
    theirs: dict[str, list[Sequence[Value]]] = defaultdict(list)
    for row in rows:
        theirs[str(row[0])].append(row[1:])
    assert set(theirs) <= set(ours)
    for name, tables in ours.items():
        mine = tables[table].sort_by(KEYS[table])
        if table == "history_ledgers":
            # The dump has the ledgers with operations only, and Horizon starts at ledger 2.
            mine = mine.filter((pc.field("tx_set_operation_count") > 0) & (pc.field("sequence") > 1))
        assert_columns_equal(f"{name} {table}", mine, header[1:], theirs[name])
