from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from stellar_sdk import xdr

from aurora_ingest import _kernel
from aurora_ingest.errors import ContradictoryChangesError, StateError, UsageError
from aurora_ingest.ledger.change import CHANGES, COMPACTED_COLUMNS, CREATED, EVICTED, REMOVED, RESTORED, TTL, UPDATED
from aurora_ingest.ledger.genesis import TOTAL_COINS, root_entry
from aurora_ingest.network import STANDALONE
from aurora_ingest.transforms.extract_changes import (
    CompactChangesPerLedger,
    ExtractChanges,
    compacted,
    genesis_unit,
    ledger_unit,
    ledger_units,
)
from aurora_ingest.transforms.ledger_unit import CHUNK, LEDGER, LedgerUnit, LedgerUnitCoder, Receipt
from aurora_ingest.transforms.processors import TABLES, entry_columns
from aurora_ingest.transforms.state_changes import state_change, with_tables
from differential.closed_ledgers import framed
from kernel.change_batches import change_batch
from soroban_entries import balance, ttl
from support import EagerPipeline

COLUMNS = entry_columns(TABLES)


def unit_of(rows: list[tuple[str, bytes, bytes | None, bytes | None]], ledger: int = 7) -> LedgerUnit:
    return ledger_unit(ledger, {CHANGES: change_batch(rows, ledger=ledger)})


def filled(rows: list[tuple[str, bytes, bytes | None, bytes | None]]) -> LedgerUnit:
    return with_tables(compacted(unit_of(rows), COLUMNS, STANDALONE.network_id), TABLES)


def account(**changed: Any) -> bytes:
    """Returns the root account with other fields."""
    entry = xdr.LedgerEntry.from_xdr_bytes(root_entry(STANDALONE))
    assert entry.data.account is not None
    for name, value in changed.items():
        setattr(entry.data.account, name, value)
    return entry.to_xdr_bytes()


def signer(number: int) -> xdr.Signer:
    key = xdr.SignerKey(
        xdr.SignerKeyType.SIGNER_KEY_TYPE_HASH_X, hash_x=xdr.Uint256(hashlib.sha256(b"%d" % number).digest())
    )
    return xdr.Signer(key, xdr.Uint32(1))


def decoded(data: bytes) -> dict[str, pa.RecordBatch]:
    columns = {"ledgers": ("ledger_sequence",), CHANGES: COMPACTED_COLUMNS}
    kernel = _kernel.LedgerDecoder(network_id=STANDALONE.network_id, columns=columns)
    for ledger in framed(data):
        kernel.push(ledger)
    return {name: pa.record_batch(batch) for name, batch in kernel.take().items()}


def chunk(first: int, last: int, tables: dict[str, pa.RecordBatch]) -> LedgerUnit:
    receipt = Receipt(CHUNK, 0, last=True)
    return LedgerUnit(CHUNK, 0, True, first, last, {}, {}, {}, receipt, decoded=tables)


def test_genesis_creates_the_root_account() -> None:
    unit = with_tables(compacted(genesis_unit(STANDALONE), COLUMNS, STANDALONE.network_id), TABLES)
    (row,) = unit.tables["accounts"].to_pylist()
    assert (row["balance"], row["sequence_number"], row["last_modified_ledger"]) == (TOTAL_COINS, 0, 1)
    assert unit.tables["accounts_signers"].to_pylist() == [
        {"account_id": row["account_id"], "signer": row["account_id"], "weight": 1, "sponsor": None}
    ]
    assert {table: batch.num_rows for table, batch in unit.pre.items() if batch.num_rows} == {}
    assert unit.removed is not None
    assert unit.removed.num_rows == 0
    assert {table: count for table, count in unit.entries.items() if count} == {"account": 1}


def test_rows_leave_by_their_primary_key() -> None:
    before = account(signers=[signer(1), signer(2)])
    after = account(signers=[signer(2), signer(3)])
    key = _kernel.ledger_key_of(before)
    change = state_change(filled([(UPDATED, key, before, after)]), TABLES, STANDALONE)
    accounts, signers = change.tables["accounts"], change.tables["accounts_signers"]
    assert (accounts.upserts.num_rows, accounts.leaving.num_rows) == (1, 0)
    assert (signers.upserts.num_rows, signers.leaving.num_rows) == (3, 1)
    gone = state_change(filled([(REMOVED, key, before, None)]), TABLES, STANDALONE)
    assert gone.tables["accounts"].leaving.num_rows == 1
    assert gone.tables["accounts_signers"].leaving.num_rows == 3
    assert gone.tables["accounts_signers"].leaving.schema.names == ["signer", "account_id"]


def test_what_left_unseen_leaves_by_the_hash_that_its_table_knows() -> None:
    entry = balance(1, 5, 3)
    key, code = _kernel.ledger_key_of(entry), bytes([0, 0, 0, 7]) + bytes(range(32))
    lives = ttl(entry, 9, 3)
    unit = filled(
        [
            (EVICTED, key, None, None),
            (EVICTED, code, None, None),
            (RESTORED, _kernel.ledger_key_of(lives), None, lives),
            (REMOVED, _kernel.ledger_key_of(lives), lives, None),
        ]
    )
    change = state_change(unit, TABLES, STANDALONE)
    hash_ = hashlib.sha256(key).digest()
    assert change.tables["contract_data"].leaving.to_pylist() == [{"key_hash": hash_}]
    assert change.tables["contract_code"].leaving.to_pylist() == [{"hash": bytes(range(32))}]
    assert change.tables["ttl"].leaving.to_pylist() == [{"key_hash": hash_}]
    assert change.contracts is not None
    assert change.contracts.keys.to_pylist() == [{"key_hash": hash_}]


@pytest.mark.parametrize("before,after,returned", [(6, 9, True), (7, 9, False), (None, 9, True), (6, 6, False)])
def test_an_entry_returns_when_its_life_had_ended(before: int | None, after: int, returned: bool) -> None:
    entry = balance(1, 5, 3)
    new = ttl(entry, after, 7)
    pre = None if before is None else ttl(entry, before, 3)
    change = state_change(filled([(RESTORED, _kernel.ledger_key_of(new), pre, new)]), TABLES, STANDALONE)
    assert change.contracts is not None
    assert change.contracts.lifetimes.column("returned").to_pylist() == [returned]


def test_entries_that_are_never_archived_need_their_former_image() -> None:
    entry = account(balance=xdr.Int64(5))
    key = _kernel.ledger_key_of(entry)
    with pytest.raises(StateError, match=r"ledger 7: change 0 of account .* without the entry before it"):
        compacted(unit_of([(UPDATED, key, None, entry)]), COLUMNS, STANDALONE.network_id)
    lives = bytes([0, 0, 0, TTL]) + bytes(32)
    assert compacted(unit_of([(EVICTED, lives, None, None)]), COLUMNS, STANDALONE.network_id).removed is not None


def test_some_tables_are_kept_only_together() -> None:
    unit = filled([])
    with pytest.raises(UsageError, match="without ttl"):
        state_change(unit, [table for table in TABLES if table != "ttl"], STANDALONE)
    some = state_change(unit, ["accounts", "exp_asset_stats"], STANDALONE)
    assert list(some.tables) == ["accounts"]
    assert some.contracts is None


@pytest.mark.shared_data
def test_a_chunk_becomes_one_unit_per_ledger(shared_data: Path) -> None:
    tables = decoded((shared_data / "standalone-p19-accel/meta/ledger-close-meta.xdr.zst").read_bytes())
    units = list(ledger_units(chunk(2, 100, tables)))
    assert [unit.first_ledger for unit in units] == list(range(2, 101))
    assert [unit.last for unit in units] == [False] * 98 + [True]
    assert all(unit.kind == LEDGER and unit.last_ledger == unit.first_ledger == unit.index for unit in units)
    for table, whole in tables.items():
        parts = [unit.decoded[table] for unit in units]
        assert pa.Table.from_batches(parts).equals(pa.Table.from_batches([whole]))
    wider = list(ledger_units(chunk(1, 101, tables)))
    assert [unit.decoded[CHANGES].num_rows for unit in (wider[0], wider[-1])] == [0, 0]
    with pytest.raises(StateError, match=r"not of ledgers 2 to 99"):
        list(ledger_units(chunk(2, 99, tables)))


@pytest.mark.shared_data
def test_the_graph_makes_what_the_functions_make(shared_data: Path) -> None:
    tables = decoded((shared_data / "standalone-p19-accel/meta/ledger-close-meta.xdr.zst").read_bytes())
    expected = {
        unit.index: compacted(unit, COLUMNS, STANDALONE.network_id) for unit in ledger_units(chunk(2, 100, tables))
    }
    pipeline = EagerPipeline()
    made = pipeline.run([chunk(2, 100, tables)], ExtractChanges())
    made = pipeline.run(made, CompactChangesPerLedger(TABLES, STANDALONE))
    coder = LedgerUnitCoder()
    assert {unit.index: coder.encode(unit) for unit in made} == {
        index: coder.encode(unit) for index, unit in expected.items()
    }


def test_a_second_ledger_in_a_unit_raises() -> None:
    entry = root_entry(STANDALONE)
    rows = [change_batch([(CREATED, _kernel.ledger_key_of(entry), None, entry)], ledger=ledger) for ledger in (7, 8)]
    both = pa.Table.from_batches(rows).combine_chunks().to_batches()[0]
    unit = dataclasses.replace(unit_of([]), decoded={CHANGES: both})
    with pytest.raises(ContradictoryChangesError, match="ledgers 7 and 8"):
        compacted(unit, COLUMNS, STANDALONE.network_id)


def test_unknown_tables_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown table"):
        CompactChangesPerLedger(["signers"], STANDALONE)
