"""What holds for every history table: its schema, its columns, its place in the chain."""

from __future__ import annotations

import pickle

import pytest

from aurora_ingest.errors import UsageError
from aurora_ingest.transforms.ledger_unit import CHUNK
from aurora_ingest.transforms.processors import (
    HISTORY_PROCESSORS,
    HISTORY_TABLES,
    PROCESSORS,
    ProcessTable,
    decoded_columns,
    history_by_table,
)
from aurora_ingest.transforms.processors.history_ledgers import ProcessHistoryLedgers
from aurora_ingest.transforms.processors.processor import processed
from history_batches import SCHEMAS, chunk_with, whole_decoded
from support import EagerPipeline


def test_the_tables_are_horizons_three_and_ours() -> None:
    assert HISTORY_TABLES == (
        "history_ledgers",
        "history_transactions",
        "history_operations",
        "history_contract_events",
        "ledger_entry_changes",
    )
    labels = {process.__name__ for process in (*PROCESSORS, *HISTORY_PROCESSORS)}
    assert len(labels) == len(PROCESSORS) + len(HISTORY_PROCESSORS)


@pytest.mark.parametrize("process", HISTORY_PROCESSORS)
def test_rows_have_the_schema_with_and_without_ledgers(process: type[ProcessTable]) -> None:
    for rows in (0, 2):
        batch = processed(chunk_with(whole_decoded(rows)), process.spec).tables[process.spec.name]
        assert batch.schema.equals(process.spec.schema)
        assert len(batch) == rows


@pytest.mark.parametrize("process", HISTORY_PROCESSORS)
def test_rows_read_no_columns_but_those_they_name(process: type[ProcessTable]) -> None:
    whole = whole_decoded(3)
    narrow = {table: whole[table].select(list(names)) for table, names in process.spec.columns.items()}
    assert process.spec.rows(chunk_with(narrow)).equals(process.spec.rows(chunk_with(whole)))


@pytest.mark.parametrize("process", HISTORY_PROCESSORS)
def test_named_columns_are_the_kernels(process: type[ProcessTable]) -> None:
    for table, names in process.spec.columns.items():
        assert set(names) <= set(SCHEMAS[table].names)
        assert len(names) == len(set(names))


@pytest.mark.parametrize("process", HISTORY_PROCESSORS)
def test_slices_make_slices(process: type[ProcessTable]) -> None:
    whole = whole_decoded(5)
    part = {table: batch.slice(1, 3) for table, batch in whole.items()}
    assert process.spec.rows(chunk_with(part)).equals(process.spec.rows(chunk_with(whole)).slice(1, 3))


@pytest.mark.parametrize("process", HISTORY_PROCESSORS)
def test_specs_travel_to_workers(process: type[ProcessTable]) -> None:
    assert pickle.loads(pickle.dumps(process.spec)) == process.spec  # noqa: S301  # our own bytes
    assert process.spec.stage == CHUNK
    assert not any(process.spec.schema.field(name).nullable for name in process.spec.primary_key)


def test_processors_are_chosen_by_table_in_chain_order() -> None:
    assert history_by_table(reversed(HISTORY_TABLES)) == HISTORY_PROCESSORS
    assert history_by_table([]) == ()
    with pytest.raises(UsageError, match=r"unknown history table offers; known are history_ledgers, .*changes"):
        history_by_table(["offers"])


def test_only_columns_that_are_read_are_asked_of_the_kernel() -> None:
    assert set(decoded_columns(["history_operations"])) == {"operations"}
    whole = decoded_columns(HISTORY_TABLES)
    assert set(whole) == set(SCHEMAS)
    assert not {name for names in whole.values() for name in names} & {"envelope_xdr", "meta_xdr", "header_xdr"}


def test_the_chain_fills_a_table() -> None:
    (unit,) = EagerPipeline().run([chunk_with(whole_decoded(2))], ProcessHistoryLedgers())
    assert unit.tables["history_ledgers"].equals(ProcessHistoryLedgers.spec.rows(chunk_with(whole_decoded(2))))
