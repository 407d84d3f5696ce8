"""Rows of ledgers against stellar-sdk: every column of a sample of every file."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from aurora_ingest._kernel import LEDGER_TABLES, LedgerDecoder, ledger_schema
from kernel import ledger_files
from kernel.ledger_files import Source
from kernel.ledger_sdk import Row, expected_tables

pytestmark = pytest.mark.shared_data

LARGEST = 200_000  # bytes of a ledger that the SDK decodes in less than half a second
INVOKE_HOST_FUNCTION = 24


def decoded(source: Source, ledgers: list[tuple[int, bytes]], **options: Any) -> dict[str, pa.RecordBatch]:
    """The tables of some ledgers of a source."""
    decoder = LedgerDecoder(network_id=source.network_id, **options)
    for sequence, data in ledgers:
        assert decoder.push(data) == sequence
    assert (decoder.ledgers, decoder.bytes) == (len(ledgers), sum(len(data) for _, data in ledgers))
    rows = decoder.rows
    tables = {name: pa.record_batch(batch) for name, batch in decoder.take().items()}
    assert rows == sum(table.num_rows for table in tables.values())
    assert decoder.rows == decoder.ledgers == decoder.bytes == 0
    return tables


def compare(table: str, got: pa.RecordBatch, expected: list[Row]) -> None:
    """Requires equal rows; whether an invocation is a payment is another test's."""
    got.validate(full=True)
    assert got.num_rows == len(expected), table
    for row, want in zip(got.to_pylist(), expected, strict=True):
        if table == "operations" and want["type"] == INVOKE_HOST_FUNCTION:
            row["is_payment"] = None
        assert set(want) == set(row)
        differences = {name: (row[name], value) for name, value in want.items() if row[name] != value}
        assert not differences, (table, row)


def check(source: Source, ledgers: list[tuple[int, bytes]]) -> None:
    """Requires the rows that stellar-sdk's decoding gives."""
    tables = decoded(source, ledgers)
    assert tuple(tables) == LEDGER_TABLES
    expected = [expected_tables(data, source.network_id) for _, data in ledgers]
    for name, table in tables.items():
        compare(name, table, [row for ledger in expected for row in ledger[name]])


def sample(source: Source, count: int) -> list[tuple[int, bytes]]:
    """Some ledgers from all over a source, at least its smallest one."""
    small = [ledger for ledger in source.ledgers if len(ledger[1]) <= LARGEST]
    if not small:
        return [min(source.ledgers, key=lambda ledger: len(ledger[1]))]
    return small[:: max(1, len(small) // count)][:count]


def test_rows_of_every_file_are_those_of_the_sdk(shared_data: Path) -> None:
    for source in itertools.chain(ledger_files.public_files(shared_data), ledger_files.rpc_answers(shared_data)):
        check(source, sample(source, 3))


def test_rows_of_core_streams_are_those_of_the_sdk(shared_data: Path) -> None:
    for source in ledger_files.core_streams(shared_data):
        check(source, sample(source, 10))


def test_rows_of_cores_tests_are_those_of_the_sdk(shared_data: Path) -> None:
    for source in itertools.islice(ledger_files.core_tests(shared_data), 0, None, 40):
        check(source, sample(source, 2))


def test_a_projection_builds_what_it_names(shared_data: Path) -> None:
    source = next(iter(ledger_files.core_streams(shared_data)))
    ledgers = source.ledgers[:20]
    everything = decoded(source, ledgers)
    columns = {"operations": ["type", "id"], "changes": ["post_json", "post_xdr"]}
    some = decoded(source, ledgers, columns=columns)
    assert list(some) == ["operations", "changes"]
    assert some["operations"].equals(everything["operations"].select(["id", "type"]))
    assert some["changes"].schema.names == ["post_xdr", "post_json"]
    assert some["changes"]["post_xdr"].equals(everything["changes"]["post_xdr"])
    assert "post_json" not in everything["changes"].schema.names
    for name, table in everything.items():
        whole = pa.schema(ledger_schema(name))
        assert table.schema == pa.schema([field for field in whole if field.name != "post_json"])
    assert decoded(source, ledgers, columns={}) == {}
    with pytest.raises(ValueError, match="there is no ledger table operation; there are ledgers"):
        LedgerDecoder(network_id=bytes(32), columns={"operation": None})
    with pytest.raises(ValueError, match="ledger table changes has no column kind; it has ledger_sequence"):
        LedgerDecoder(network_id=bytes(32), columns={"changes": ["kind"]})
    with pytest.raises(KeyError, match="no ledger table x"):
        ledger_schema("x")


def test_a_source_without_metas_has_neither_changes_nor_events(shared_data: Path) -> None:
    source = list(ledger_files.core_streams(shared_data))[3]
    decoder = LedgerDecoder(network_id=source.network_id)
    for _, data in source.ledgers[100:110]:
        decoder.push(data, has_meta=False)
    tables = {name: pa.record_batch(batch) for name, batch in decoder.take().items()}
    whole = decoded(source, source.ledgers[100:110])
    absent = ("meta", "fee_changes", "post_apply_fee_changes")
    for name in whole["transactions"].schema.names:
        column = tables["transactions"][name]
        if name.removesuffix("_xdr").removesuffix("_base64") in absent:
            assert column.null_count == len(column)
        else:
            assert column.equals(whole["transactions"][name])
    assert tables["changes"].num_rows == tables["contract_events"].num_rows == 0
    assert tables["ledgers"].equals(whole["ledgers"])
    assert tables["operations"].drop_columns("is_payment").equals(whole["operations"].drop_columns("is_payment"))
