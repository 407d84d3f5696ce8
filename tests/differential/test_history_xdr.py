"""The columns that no peer has: operation bodies, events and images of entries, against stellar-sdk's decoding."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from stellar_sdk import xdr

from aurora_ingest import _kernel
from differential.built_state import PUBNET
from differential.closed_ledgers import LOADTEST, history, lake

pytestmark = pytest.mark.shared_data

LAKES = {
    "pubnet-26154623": PUBNET,
    "pubnet-46154623": PUBNET,
    "pubnet-57500008": PUBNET,
    "pubnet-63092996": PUBNET,
    "loadtest-10048-10077": LOADTEST,
}
SAMPLE = 150
TTL = xdr.LedgerEntryType.TTL.value


@functools.cache
def history_of(shared_data: Path, name: str) -> dict[str, pa.Table]:
    return history(lake(shared_data / "lakes" / name), LAKES[name])


def sample(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows from all over a table."""
    step = max(1, rows.num_rows // SAMPLE)
    return list(rows.take(pa.array(range(0, rows.num_rows, step), pa.int64())).to_pylist())


@pytest.mark.parametrize("name", LAKES)
def test_bodies_are_those_of_the_envelopes(name: str, shared_data: Path) -> None:
    tables = history_of(shared_data, name)
    transactions = sample(tables["history_transactions"])
    by_transaction: dict[int, list[dict[str, Any]]] = {row["id"]: [] for row in transactions}
    for row in tables["history_operations"].to_pylist():
        by_transaction.get(row["transaction_id"], []).append(row)
    for row in transactions:
        operations = by_transaction[row["id"]]
        wanted = operations_of(xdr.TransactionEnvelope.from_xdr(row["tx_envelope"]))
        assert [operation["body"] for operation in operations] == [each.body.to_xdr() for each in wanted]
        assert [operation["type"] for operation in operations] == [each.body.type.value for each in wanted]
        assert [operation["id"] - row["id"] for operation in operations] == list(range(1, len(wanted) + 1))
        assert row["operation_count"] == len(wanted)


def operations_of(envelope: xdr.TransactionEnvelope) -> list[xdr.Operation]:
    if envelope.fee_bump is not None:
        inner = envelope.fee_bump.tx.inner_tx.v1
        assert inner is not None
        return list(inner.tx.operations)
    of_any_kind = envelope.v0 or envelope.v1
    assert of_any_kind is not None
    return list(of_any_kind.tx.operations)


@pytest.mark.parametrize("name", LAKES)
def test_events_are_their_parts(name: str, shared_data: Path) -> None:
    for row in sample(history_of(shared_data, name)["history_contract_events"]):
        event = xdr.ContractEvent.from_xdr(row["event"])
        body = event.body.v0
        assert body is not None
        assert row["topics"] == [topic.to_xdr() for topic in body.topics]
        assert row["data"] == body.data.to_xdr()
        assert row["type"] == event.type.value
        contract = None if event.contract_id is None else event.contract_id.contract_id.hash
        assert row["contract_id"] == (None if contract is None else _kernel.strkey_encode("C", contract))


@pytest.mark.parametrize("name", LAKES)
def test_images_are_entries_of_their_key(name: str, shared_data: Path) -> None:
    rows = sample(history_of(shared_data, name)["ledger_entry_changes"])
    assert rows
    for row in rows:
        named = row["ledger_key"][4:] if row["entry_type"] == TTL else hashlib.sha256(row["ledger_key"]).digest()
        assert row["key_hash"] == named
        images = [row[image] for image in ("pre", "post") if row[image] is not None]
        assert images or row["type"] == "evicted"
        for image in images:
            entry = xdr.LedgerEntry.from_xdr_bytes(image)
            assert _kernel.ledger_key_of(image) == row["ledger_key"]
            assert entry.data.type.value == row["entry_type"]
        if row["post"] is None:
            assert row["type"] in {"removed", "evicted"}
            assert (row["post_json"], row["last_modified_ledger"]) == (None, None)
            continue
        entry = xdr.LedgerEntry.from_xdr_bytes(row["post"])
        assert row["last_modified_ledger"] == entry.last_modified_ledger_seq.uint32
        assert json.loads(row["post_json"]) == json.loads(_kernel.xdr_to_json("LedgerEntry", row["post"]))
        assert json.loads(row["post_json"])["last_modified_ledger_seq"] == entry.last_modified_ledger_seq.uint32
        assert row["type"] in {"created" if row["pre"] is None else "updated", "restored"}


@pytest.mark.parametrize("name", LAKES)
def test_every_transaction_s_fee_is_its_first_change(name: str, shared_data: Path) -> None:
    """The fee list of a transaction, as Horizon keeps it too, is what the rows of phase ``fee`` say."""
    tables = history_of(shared_data, name)
    changes: dict[int, list[dict[str, Any]]] = {}
    for row in tables["ledger_entry_changes"].to_pylist():
        if row["phase"] == "fee":
            changes.setdefault(row["transaction_id"], []).append(row)
    for row in sample(tables["history_transactions"]):
        listed = xdr.LedgerEntryChanges.from_xdr(row["tx_fee_meta"]).ledger_entry_changes
        updated = [change.updated.to_xdr_bytes() for change in listed if change.updated is not None]
        assert [change["post"] for change in changes[row["id"]]] == updated
        states = [base64.b64encode(change.state.to_xdr_bytes()) for change in listed if change.state is not None]
        assert [base64.b64encode(change["pre"]) for change in changes[row["id"]]] == states
