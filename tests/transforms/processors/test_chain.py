from __future__ import annotations

from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.transforms.processors import TABLES, by_table, entry_columns
from aurora_ingest.transforms.second_stage import ASSET_CONTRACTS, TTL


def test_every_table_of_the_database_has_one_processor_with_the_same_columns() -> None:
    assert sorted(TABLES) == sorted(STATE_TABLES)
    for process in by_table(TABLES):
        if process.spec.is_partial:
            continue
        table = STATE_TABLES[process.spec.name]
        assert process.spec.schema.names == [column.name for column in table.columns]
        assert set(process.spec.primary_key) == {column.name for column in table.primary_key}
        nullable = {field.name: field.nullable for field in process.spec.schema}
        needed = {column.name for column in table.columns if not column.nullable}
        assert not {name for name in needed if nullable[name]}, process.spec.name


def test_a_table_brings_the_partial_rows_that_it_needs() -> None:
    names = [process.spec.name for process in by_table(["contract_asset_balances"])]
    assert {f"partial:{ASSET_CONTRACTS}", f"partial:{TTL}", "contract_asset_balances"} == set(names)


def test_only_columns_that_are_read_are_asked_of_the_kernel() -> None:
    assert set(entry_columns(["ttl"])) == {"ttl"}
    assert "entry_xdr" not in {name for names in entry_columns(TABLES).values() for name in names}
