"""Ledgers, transactions, operations and contract events against stellar-etl's exports, field by field."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard

from aurora_ingest import _kernel
from aurora_ingest.transforms.processors import HISTORY_TABLES
from differential.built_state import PUBNET, TESTNET
from differential.closed_ledgers import history, lake

pytestmark = pytest.mark.shared_data

GOLDEN = "pubnet-30822015-30822025"
RESULTS = {
    1: "FeeBumpInnerSuccess",
    0: "Success",
    -1: "Failed",
    -5: "BadSeq",
    -7: "InsufficientBalance",
    -10: "BadAuthExtra",
    -13: "FeeBumpInnerFailed",
}
MEMOS = {"none": "None", "text": "Text", "id": "Id", "hash": "Hash", "return": "Return"}
SOROBAN = ("resource_fee", "soroban_", "inclusion_fee_", "non_refundable_", "refundable_", "rent_fee_")
"""What stellar-etl adds up out of the metas of contract calls; of other transactions it is zero."""


def exported(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        lines = zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()
    return [json.loads(line) for line in lines]


def lakes(shared_data: Path) -> list[str]:
    return sorted(path.name for path in (shared_data / "oracle/stellar-etl").iterdir() if path.is_dir())


def passphrase(name: str) -> str:
    return PUBNET if name.startswith("pubnet") else TESTNET


@functools.cache
def history_of(shared_data: Path, name: str) -> dict[str, list[dict[str, Any]]]:
    made = history(lake(shared_data / "lakes" / name), passphrase(name), HISTORY_TABLES[:4])
    return {table: rows.to_pylist() for table, rows in made.items()}


@functools.cache
def decoded(shared_data: Path, name: str) -> dict[str, list[dict[str, Any]]]:
    """What the kernel knows beyond the columns of the history tables."""
    kernel = _kernel.LedgerDecoder(
        network_id=hashlib.sha256(passphrase(name).encode()).digest(),
        columns={
            "ledgers": [
                "scp_node",
                "scp_signature",
                "soroban_fee_write_1kb",
                "live_soroban_state_size",
                "evicted_keys",
            ],
            "transactions": ["result_code", "is_soroban"],
            "operations": ["result_xdr"],
        },
    )
    for ledger in lake(shared_data / "lakes" / name):
        kernel.push(ledger)
    return {table: pa.record_batch(batch).to_pylist() for table, batch in kernel.take().items()}


def instant(value: Any) -> str:
    return f"{value.isoformat()}Z"


def bounds(value: Mapping[str, int | None] | None) -> str:
    if value is None:
        return ""
    return f"[{value['lower']},{'' if value['upper'] is None else value['upper']})"


def ledgers(shared_data: Path, name: str) -> Iterator[dict[str, Any]]:
    both = zip(history_of(shared_data, name)["history_ledgers"], decoded(shared_data, name)["ledgers"], strict=True)
    same = (
        *("sequence", "ledger_hash", "previous_ledger_hash", "ledger_header", "transaction_count", "operation_count"),
        *("successful_transaction_count", "failed_transaction_count", "total_coins", "fee_pool", "base_fee"),
        *("base_reserve", "max_tx_set_size", "protocol_version", "id"),
    )
    for row, more in both:
        size = more["live_soroban_state_size"] or 0
        yield {column: row[column] for column in same} | {
            "tx_set_operation_count": str(row["tx_set_operation_count"]),
            "closed_at": instant(row["closed_at"]),
            "soroban_fee_write_1kb": more["soroban_fee_write_1kb"] or 0,
            "node_id": more["scp_node"] or "",
            "signature": base64.b64encode(more["scp_signature"] or b"").decode(),
            "total_byte_size_of_bucket_list": size,
            "total_byte_size_of_live_soroban_state": size,
            "evicted_keys": more["evicted_keys"],
        }


def transactions(shared_data: Path, name: str) -> Iterator[dict[str, Any]]:
    made = history_of(shared_data, name)["history_transactions"]
    same = (
        *("transaction_hash", "ledger_sequence", "account", "account_sequence", "max_fee", "fee_charged"),
        *("operation_count", "tx_envelope", "tx_result", "tx_meta", "tx_fee_meta", "successful", "id"),
        *("min_account_sequence", "min_account_sequence_ledger_gap", "extra_signers"),
    )
    optional = ("account_muxed", "fee_account", "fee_account_muxed", "inner_transaction_hash", "new_max_fee")
    for row, more in zip(made, decoded(shared_data, name)["transactions"], strict=True):
        age = row["min_account_sequence_age"]
        yield (
            {column: row[column] for column in same}
            | {column: row[column] for column in optional if row[column] is not None}
            | {
                "closed_at": instant(row["created_at"]),
                "created_at": instant(row["created_at"]),
                "memo_type": f"MemoTypeMemo{MEMOS[row['memo_type']]}",
                "memo": row["memo"] or "",
                "time_bounds": bounds(row["time_bounds"]),
                "ledger_bounds": bounds(row["ledger_bounds"]),
                "min_account_sequence_age": None if age is None else int(age),
                "transaction_result_code": f"TransactionResultCodeTx{RESULTS[more['result_code']]}",
                "tx_signers": [strkey_of_any_length(base64.b64decode(text)) for text in row["signatures"]],
                "is_soroban": more["is_soroban"],
            }
        )


def strkey_of_any_length(payload: bytes) -> str:
    """stellar-etl writes a signature as if it were an account's key: version byte, payload, CRC16-XModem, base32."""
    body = bytes([6 << 3]) + payload
    crc = 0
    for byte in body:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return base64.b32encode(body + crc.to_bytes(2, "little")).decode().rstrip("=")


def operations(shared_data: Path, name: str) -> Iterator[dict[str, Any]]:
    made = history_of(shared_data, name)
    times = {row["sequence"]: instant(row["closed_at"]) for row in made["history_ledgers"]}
    for row in made["history_operations"]:
        muxed = row["source_account_muxed"]
        yield {column: row[column] for column in ("id", "transaction_id", "type", "source_account")} | {
            "ledger_sequence": row["id"] >> 32,
            "closed_at": times[row["id"] >> 32],
            **({} if muxed is None else {"source_account_muxed": muxed}),
        }


def contract_events(shared_data: Path, name: str) -> Iterator[dict[str, Any]]:
    made = history_of(shared_data, name)
    owners = {row["id"]: row for row in made["history_transactions"]}
    for row in made["history_contract_events"]:
        owner = owners[row["id"] >> 12 << 12]
        flag = int(row["in_successful_contract_call"]).to_bytes(4, "big")
        yield {column: row[column] for column in ("ledger_sequence", "type", "topics", "data")} | {
            "transaction_id": owner["id"],
            "transaction_hash": owner["transaction_hash"],
            "successful": owner["successful"],
            "closed_at": instant(owner["created_at"]),
            "operation_id": row["id"] if row["operation_order"] else None,
            "contract_id": row["contract_id"] or "",
            "in_successful_contract_call": row["in_successful_contract_call"],
            "contract_event_xdr": base64.b64encode(flag + base64.b64decode(row["event"])).decode(),
        }


def assert_equal(name: str, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert len(ours) == len(theirs), name
    for mine, wanted in zip(ours, theirs, strict=True):
        differing = {
            key: (mine.get(key), wanted.get(key))
            for key in mine.keys() | wanted.keys()
            if mine.get(key) != wanted.get(key)
        }
        assert not differing, f"{name}: {wanted.get('id')}: {str(differing)[:2000]}"


def sources(shared_data: Path, table: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield GOLDEN, exported(shared_data / "public/stellar-etl" / GOLDEN / f"expected-{table}.jsonl.zst")
    for name in lakes(shared_data):
        path = shared_data / "oracle/stellar-etl" / name / f"{table}.jsonl.zst"
        if path.exists():
            yield name, exported(path)


def test_ledgers_are_equal_field_by_field(shared_data: Path) -> None:
    for name, theirs in sources(shared_data, "ledgers"):
        for row in theirs:
            hashes, kinds = row.pop("evicted_ledger_keys_hash"), row.pop("evicted_ledger_keys_type")
            row["evicted_keys"] = len(hashes or [])
            assert len(kinds or []) == len(hashes or [])
        ours = list(ledgers(shared_data, name))
        assert_equal(f"{name} ledgers", ours, sorted(theirs, key=lambda row: int(row["sequence"])))


def test_transactions_are_equal_field_by_field(shared_data: Path) -> None:
    for name, theirs in sources(shared_data, "transactions"):
        ours = sorted(transactions(shared_data, name), key=lambda row: int(row["id"]))
        theirs.sort(key=lambda row: int(row["id"]))
        for mine, row in zip(ours, theirs, strict=True):
            is_soroban = mine.pop("is_soroban")
            values = [row.pop(field) for field in list(row) if field.startswith(SOROBAN)]
            assert is_soroban or not any(values), row["id"]
        assert_equal(f"{name} transactions", ours, theirs)


def test_operations_are_equal_in_what_both_have(shared_data: Path) -> None:
    later = ("details", "details_json", "operation_result_code", "operation_trace_code", "type_string")
    for name, theirs in sources(shared_data, "operations"):
        for row in theirs:
            for field in later:
                row.pop(field, None)
        ours = sorted(operations(shared_data, name), key=lambda row: int(row["id"]))
        assert_equal(f"{name} operations", ours, sorted(theirs, key=lambda row: int(row["id"])))


def test_contract_events_are_equal_field_by_field(shared_data: Path) -> None:
    """stellar-etl writes every event as a DiagnosticEvent, the one inside is ours."""
    compared = 0
    for name in lakes(shared_data):
        path = shared_data / "oracle/stellar-etl" / name / "contract_events.jsonl.zst"
        theirs = exported(path) if path.exists() else []
        for row in theirs:
            row.pop("type_string")
        ours = list(contract_events(shared_data, name))
        assert_equal(f"{name} events", sorted(ours, key=place), sorted(theirs, key=place))
        compared += len(theirs)
    assert compared == 718 + 1017 + 21 + 1639 + 1614 + 1209 + 914


def place(row: Mapping[str, Any]) -> tuple[int, str]:
    return int(row["transaction_id"]), str(row["contract_event_xdr"])
