"""Ledger headers of real archives, against stellar-sdk and by their own hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from stellar_sdk import xdr

from aurora_ingest import _kernel
from kernel.framing import frame, inflated_files, records

ARCHIVES = (
    "public/stellar-archivist/testnet-archive-1-8063.tar",
    "public/stellar-archivist/pubnet-archive-11999936-12001023.tar",
    "standalone-p19/archive",
    "standalone-p23/archive",
)


def expected_row(entry: xdr.LedgerHeaderHistoryEntry) -> dict[str, int | bytes]:
    header = entry.header
    raw = header.to_xdr_bytes()
    return {
        "ledger_sequence": header.ledger_seq.uint32,
        "ledger_hash": entry.hash.hash,
        "computed_hash": hashlib.sha256(raw).digest(),
        "previous_ledger_hash": header.previous_ledger_hash.hash,
        "bucket_list_hash": header.bucket_list_hash.hash,
        "tx_set_hash": header.scp_value.tx_set_hash.hash,
        "tx_set_result_hash": header.tx_set_result_hash.hash,
        "close_time": header.scp_value.close_time.time_point.uint64,
        "protocol_version": header.ledger_version.uint32,
        "total_coins": header.total_coins.int64,
        "fee_pool": header.fee_pool.int64,
        "inflation_sequence": header.inflation_seq.uint32,
        "id_pool": header.id_pool.uint64,
        "base_fee": header.base_fee.uint32,
        "base_reserve": header.base_reserve.uint32,
        "max_tx_set_size": header.max_tx_set_size.uint32,
        "header_xdr": raw,
    }


@pytest.mark.shared_data
@pytest.mark.parametrize("archive", ARCHIVES)
def test_headers_are_those_of_stellar_sdk(shared_data: Path, archive: str) -> None:
    count = 0
    for data in inflated_files(shared_data / archive, "ledger"):
        batch = pa.record_batch(_kernel.read_ledger_headers(data, compression="none"))
        batch.validate(full=True)
        raw = list(records(data))
        assert batch.num_rows == len(raw)
        assert batch.column("ledger_hash") == batch.column("computed_hash")
        rows = batch.to_pylist()
        step = 1 if count < 500 else 16
        for row, record in zip(rows[::step], raw[::step], strict=True):
            assert row == expected_row(xdr.LedgerHeaderHistoryEntry.from_xdr_bytes(record))
        count += len(raw)
    assert count > 250


@pytest.mark.shared_data
def test_a_changed_header_shows_in_its_computed_hash(shared_data: Path) -> None:
    data = next(inflated_files(shared_data / "standalone-p23/archive", "ledger"))
    record = bytearray(next(records(data)))
    record[40] ^= 1
    batch = pa.record_batch(_kernel.read_ledger_headers(frame(bytes(record)), compression="none"))
    assert batch.column("ledger_hash") != batch.column("computed_hash")


@pytest.mark.shared_data
def test_damaged_streams_are_refused_with_their_place(shared_data: Path) -> None:
    data = next(inflated_files(shared_data / "standalone-p23/archive", "ledger"))
    first = 4 + len(next(records(data)))
    for damaged, offset, reason in (
        (data[: first + 2], first, "2 of 4 bytes"),
        (data[: first + 9], first, "5 of "),
        (data[:first] + b"\0\0\0\x04" + bytes(4), first, "last-fragment bit"),
        (data[:first] + frame(bytes(7)), first + 4, "not a LedgerHeaderHistoryEntry"),
    ):
        with pytest.raises(_kernel.XdrError, match=reason) as caught:
            _kernel.read_ledger_headers(damaged, compression="none")
        assert (caught.value.record_index, caught.value.offset) == (1, offset)


def test_no_bytes_are_no_headers() -> None:
    assert _kernel.read_ledger_headers(b"", compression="none").num_rows == 0
