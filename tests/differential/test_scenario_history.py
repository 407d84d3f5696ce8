"""History of Horizon's and Diamante's scenarios: against today's Horizon, and against the old ones' own databases."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zstandard

from differential.closed_ledgers import framed, history
from differential.exact_csv import read_csv
from differential.horizon_history import assert_columns_equal

pytestmark = pytest.mark.shared_data

KEYS = {"history_ledgers": "sequence", "history_transactions": "id", "history_operations": "id"}
WALL_CLOCK = ("created_at", "updated_at")
YOUNGER = ("tx_set_operation_count",)
"""Columns that were added to those databases and stayed empty."""
FOLDERS = ("diamante-block-go", "stellar-horizon")
NEW_SCENARIOS = 24
OLD_SCENARIOS = {"diamante-block-go": 25, "stellar-horizon": 9}


@functools.cache
def scenario(shared_data: Path, folder: str, name: str) -> dict[str, Any]:
    path = shared_data / "public" / folder / "scenarios" / f"{name}.json.zst"
    with path.open("rb") as file:
        found: dict[str, Any] = json.load(zstandard.ZstdDecompressor().stream_reader(file))
    return found


@functools.cache
def history_of(shared_data: Path, folder: str, name: str) -> dict[str, pa.Table]:
    stream = shared_data / "public" / folder / "scenarios" / f"{name}.lcm.xdr.zst"
    passphrase = scenario(shared_data, folder, name)["network_passphrase"]
    made = history(framed(stream.read_bytes()), passphrase, tuple(KEYS))
    return {table: rows.sort_by(KEYS[table]) for table, rows in made.items()}


def streams(shared_data: Path, folder: str) -> list[str]:
    files = (shared_data / "public" / folder / "scenarios").glob("*.lcm.xdr.zst")
    return sorted(path.name.removesuffix(".lcm.xdr.zst") for path in files)


def test_all_columns_equal_those_of_todays_horizon(shared_data: Path) -> None:
    folders = sorted(path for path in (shared_data / "oracle/horizon-scenarios").iterdir() if path.is_dir())
    assert len(folders) == NEW_SCENARIOS
    for folder in folders:
        ours = history_of(shared_data, "diamante-block-go", folder.name.removeprefix("diamante-"))
        # That Horizon counted ledger 1 as state only.
        later = {**ours, "history_ledgers": ours["history_ledgers"].filter(pc.field("sequence") > 1)}
        for table, rows in later.items():
            path = folder / "history" / f"{table}.csv.zst"
            if not path.exists():
                assert rows.num_rows == 0
                continue
            header, theirs = read_csv(path)
            assert_columns_equal(f"{folder.name} {table}", rows, header, theirs)


@pytest.mark.parametrize("folder", FOLDERS)
def test_columns_equal_those_of_the_old_databases(folder: str, shared_data: Path) -> None:
    names = streams(shared_data, folder)
    assert len(names) == OLD_SCENARIOS[folder]
    for name in names:
        expected = scenario(shared_data, folder, name)["expected_history"]
        for table, rows in history_of(shared_data, folder, name).items():
            theirs = sorted(expected.get(table, []), key=lambda row: row[KEYS[table]])
            if not theirs:
                continue
            header = [column for column in theirs[0] if column in rows.schema.names]
            values = [[_text(row[column]) for column in header] for row in theirs]
            younger = [column for column in YOUNGER if column in header and theirs[-1][column] is None]
            assert_columns_equal(f"{folder} {name} {table}", rows, header, values, (*WALL_CLOCK, *younger))


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "t" if value else "f"
    return None if value is None else str(value)
