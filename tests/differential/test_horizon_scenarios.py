from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from aurora_ingest import _kernel
from aurora_ingest.transforms.processors import sum_partials
from aurora_ingest.transforms.processors.columns import empty
from aurora_ingest.transforms.processors.exp_asset_stats import asset_stat_partials, asset_stat_rows
from aurora_ingest.transforms.processors.offers import TABLE as OFFERS
from aurora_ingest.transforms.processors.offers import offer_rows
from differential.comparison import postgres_text
from differential.exact_csv import read_csv

pytestmark = pytest.mark.shared_data

SCENARIOS = "oracle/horizon-scenarios"


def states(shared_data: Path, table: str) -> list[Path]:
    found = sorted((shared_data / SCENARIOS).glob(f"*/state/{table}.csv.zst"))
    assert found
    return found


def entries_of(path: Path, table: str, columns: dict[str, str]) -> pa.RecordBatch:
    """Returns the rows of a CSV as an entry batch; the columns that the CSV lacks are null."""
    header, rows = read_csv(path)
    fields = dict(zip(header, zip(*rows, strict=True), strict=True))
    schema = pa.schema(_kernel.entry_schema(table))
    arrays = [
        pa.array(fields[columns[field.name]], pa.string()).cast(field.type)
        if field.name in columns
        else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, names=schema.names)


def nothing(table: str) -> pa.RecordBatch:
    return empty(pa.schema(_kernel.entry_schema(table)))


def test_asset_stats_follow_from_the_trust_lines(shared_data: Path) -> None:
    same = {name: name for name in ("asset_type", "asset_code", "asset_issuer", "balance", "flags")}
    for path in states(shared_data, "trust_lines"):
        lines = entries_of(path, "trust_line", same)
        partials = asset_stat_partials(lines, nothing("claimable_balance"), nothing("liquidity_pool"))
        stats = asset_stat_rows(sum_partials("exp_asset_stats", [partials]))
        header, expected = read_csv(path.with_name("exp_asset_stats.csv.zst"))
        assert tuple(stats.schema.names) == header
        rows = zip(*([postgres_text(value) for value in column.to_pylist()] for column in stats.columns), strict=True)
        assert list(rows) == expected, path


def test_prices_are_printed_alike(shared_data: Path) -> None:
    columns = {"price_n": "pricen", "price_d": "priced"}
    for path in states(shared_data, "offers"):
        header, expected = read_csv(path)
        prices = offer_rows(entries_of(path, "offer", columns)).column("price").to_pylist()
        assert [postgres_text(price) for price in prices] == [row[header.index("price")] for row in expected], path


def test_offers_keep_their_columns(shared_data: Path) -> None:
    for path in states(shared_data, "offers"):
        assert read_csv(path)[0] == tuple(OFFERS.schema.names)
