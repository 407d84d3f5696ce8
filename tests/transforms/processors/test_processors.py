from __future__ import annotations

import dataclasses
import pickle

import pyarrow as pa
import pytest

from aurora_ingest import _kernel
from aurora_ingest.errors import StateError, UsageError
from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, PARTITION, RANGE, TOTALS, LedgerUnit
from aurora_ingest.transforms.processors import (
    PARTIAL_SCHEMAS,
    PROCESSORS,
    TABLES,
    ProcessTable,
    TableSpec,
    by_table,
    entry_columns,
    sum_partials,
)
from aurora_ingest.transforms.processors.accounts import ProcessAccounts
from aurora_ingest.transforms.processors.columns import empty, or_empty
from aurora_ingest.transforms.processors.processor import processed
from entry_batches import SCHEMAS, USD, entries, shares_buffers, unit_with, whole_post
from support import EagerPipeline

RANGE_PROCESSORS = [process for process in PROCESSORS if process.spec.stage == RANGE]


def unit_for(process: type[ProcessTable], rows: int = 2) -> LedgerUnit:
    """Returns a unit of the processor's stage, with rows for each of its inputs."""
    match process.spec.stage:
        case "range":
            return unit_with(whole_post(rows))
        case "partition":
            field = pa.field("live_until_ledger", pa.int64(), nullable=False)
            return unit_with(
                {"asset_contract_rows": empty(PARTIAL_SCHEMAS["asset_contracts"].append(field))}, PARTITION
            )
    names = ("exp_asset_stats", "contract_asset_stats")
    return unit_with({name: empty(PARTIAL_SCHEMAS[name]) for name in names}, TOTALS)


def test_there_are_sixteen_tables_and_four_partial_ones() -> None:
    assert tuple(process.spec.name for process in PROCESSORS if not process.spec.is_partial) == TABLES
    assert len(TABLES) == len(set(TABLES)) == 16
    assert set(PARTIAL_SCHEMAS) == {"exp_asset_stats", "contract_asset_stats", "asset_contracts", "ttl"}


def test_step_labels_differ() -> None:
    assert len({process.__name__ for process in PROCESSORS}) == len(PROCESSORS)


@pytest.mark.parametrize("process", PROCESSORS)
def test_rows_have_the_schema_with_and_without_input(process: type[ProcessTable]) -> None:
    for rows in (0, 2):
        batch = processed(unit_for(process, rows), process.spec).tables[process.spec.name]
        assert batch.schema.equals(process.spec.schema)


@pytest.mark.parametrize("process", RANGE_PROCESSORS)
def test_without_input_there_are_no_rows_so_none_are_made(process: type[ProcessTable]) -> None:
    assert process.spec.rows(unit_for(process, 0)).equals(empty(process.spec.schema))


@pytest.mark.parametrize("process", RANGE_PROCESSORS)
def test_rows_read_no_columns_but_those_they_name(process: type[ProcessTable]) -> None:
    whole = whole_post(3)
    narrow = {table: whole[table].select(list(names)) for table, names in process.spec.columns.items()}
    assert process.spec.rows(unit_with(narrow)).equals(process.spec.rows(unit_with(whole)))


@pytest.mark.parametrize("process", RANGE_PROCESSORS)
def test_named_columns_are_the_kernels(process: type[ProcessTable]) -> None:
    for table, names in process.spec.columns.items():
        assert set(names) <= set(pa.schema(_kernel.entry_schema(table)).names)
        assert len(names) == len(set(names))


def test_primary_keys_are_without_nulls() -> None:
    for process in PROCESSORS:
        assert process.spec.is_partial != bool(process.spec.primary_key)
        assert not any(process.spec.schema.field(name).nullable for name in process.spec.primary_key)


def test_processors_bring_what_they_need_in_chain_order() -> None:
    chain = [process.spec.name for process in by_table(["contract_asset_stats", "accounts"])]
    assert chain == [
        "accounts",
        f"{PARTIAL_PREFIX}asset_contracts",
        f"{PARTIAL_PREFIX}ttl",
        f"{PARTIAL_PREFIX}contract_asset_stats",
        "contract_asset_stats",
    ]
    assert by_table(reversed(TABLES)) == PROCESSORS
    assert by_table([]) == ()


def test_needs_are_met_by_an_earlier_stage() -> None:
    stages = (RANGE, PARTITION, TOTALS)
    specs = {process.spec.name: process.spec for process in PROCESSORS}
    for spec in specs.values():
        assert all(stages.index(specs[name].stage) < stages.index(spec.stage) for name in spec.needs)


def test_unknown_tables_are_named() -> None:
    with pytest.raises(UsageError, match=r"unknown table acounts; known are accounts, .*contract_asset_stats"):
        by_table(["acounts"])


def test_entry_columns_are_the_union_and_leave_other_types_unread() -> None:
    assert entry_columns(["ttl"]) == {"ttl": ("key_hash", "live_until_ledger", "last_modified_ledger")}
    assert set(entry_columns(TABLES)) == set(SCHEMAS)
    both = entry_columns(["accounts_signers", "accounts"])["account"]
    assert set(both) == {*entry_columns(["accounts"])["account"], *entry_columns(["accounts_signers"])["account"]}
    assert entry_columns(["exp_asset_stats"])["trust_line"] == (
        "asset_type",
        "asset_code",
        "asset_issuer",
        "balance",
        "flags",
    )


COPIED = {
    "accounts": {"home_domain", "home_domain_bytes", "inflation_destination"},
    "accounts_data": {"ledger_key", "name", "value", "name_bytes"},
    "trust_lines": {"ledger_key", "asset_code", "asset_issuer", "liquidity_pool_id"},
    "contract_data": {"key", "value"},
    "contract_code": set(),
    "ttl": set(),
    "partial:ttl": set(),
}


@pytest.mark.parametrize("table", COPIED)
def test_columns_of_the_same_name_are_taken_over_without_copying(table: str) -> None:
    spec = next(process.spec for process in PROCESSORS if process.spec.name == table)
    (source,) = (whole_post(3)[name] for name in spec.columns)
    rows = spec.rows(unit_with(whole_post(0) | dict.fromkeys(spec.columns, source)))
    for name in set(spec.schema.names) - COPIED[table]:
        assert shares_buffers(rows.column(name), source.column(name)), name


def test_texts_without_gaps_are_not_copied() -> None:
    texts = pa.array(["a", "b"])
    assert or_empty(texts) is texts


def test_units_may_be_slices() -> None:
    whole = whole_post(5)
    whole["account"] = entries("account", *({"account_id": f"G{n}", "master_weight": 1} for n in range(5)))
    part = {table: batch.slice(1, 3) for table, batch in whole.items()}
    for process in RANGE_PROCESSORS:
        if process.spec.name not in {
            "claimable_balance_claimants",
            "partial:exp_asset_stats",
            "partial:asset_contracts",
        }:
            assert process.spec.rows(unit_with(part)).equals(process.spec.rows(unit_with(whole)).slice(1, 3))


def test_sums_do_not_keep_all_batches() -> None:
    post = {table: entries(table) for table in SCHEMAS} | {"trust_line": entries("trust_line", USD | {"flags": 1})}
    batch = next(p for p in PROCESSORS if p.spec.name == "partial:exp_asset_stats").spec.rows(unit_with(post))
    (usd,) = sum_partials("exp_asset_stats", (batch for _ in range(1000))).to_pylist()
    assert usd["count_authorized"] == 1000


def test_the_chain_fills_every_table_of_its_stage() -> None:
    (unit,) = EagerPipeline().run([unit_with(whole_post(2))], ProcessAccounts())
    assert unit.tables["accounts"].equals(ProcessAccounts.spec.rows(unit_with(whole_post(2))))
    assert unit.kind == RANGE


def test_a_finished_unit_passes_as_it_is() -> None:
    done = unit_with({}, done=True)
    (unit,) = EagerPipeline().run([done], ProcessAccounts())
    assert unit == done


def test_broken_rows_are_named() -> None:
    spec = ProcessAccounts.spec
    unit = unit_with({"account": entries("account", {"balance": None})})
    with pytest.raises(StateError, match="table accounts: range 3 at ledger 100: column balance has 1 nulls, expected"):
        processed(unit, spec)
    other = dataclasses.replace(spec, rows=lambda unit: unit.post["account"])
    with pytest.raises(StateError, match="table accounts: range 3 at ledger 100: rows have the schema"):
        processed(unit, other)

    def broken(unit: LedgerUnit) -> pa.RecordBatch:
        raise pa.ArrowInvalid("no such thing")

    with pytest.raises(StateError, match="table accounts: range 3 at ledger 100: no such thing"):
        processed(unit, dataclasses.replace(spec, rows=broken))


def test_a_spec_checks_its_names() -> None:
    schema = ProcessAccounts.spec.schema
    with pytest.raises(ValueError, match="table t: stage is 'rang', expected one of range, partition, totals"):
        TableSpec("t", schema, (), "rang", {}, ProcessAccounts.spec.rows)
    with pytest.raises(ValueError, match="table t: primary key column id is not in the schema"):
        TableSpec("t", schema, ("id",), RANGE, {}, ProcessAccounts.spec.rows)


@pytest.mark.parametrize("process", PROCESSORS)
def test_specs_travel_to_workers(process: type[ProcessTable]) -> None:
    spec = pickle.loads(pickle.dumps(process.spec))  # noqa: S301  # our own bytes
    assert spec == process.spec
