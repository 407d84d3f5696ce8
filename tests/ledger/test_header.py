"""Ledger headers: what the file says, what is proven of it, and what is refused."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from aurora_ingest.errors import ArchiveFileCorruptError, HashMismatchError, UnsupportedProtocolError
from aurora_ingest.ledger.header import LedgerHeader, headers_of, read_headers, require_link, verify_headers
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.network import STANDALONE

_LEDGERS = LedgerRange(88, 95)
_FILE = Path(__file__).parents[1] / "data" / "standalone-accel" / "ledger/00/00/00/ledger-0000005f.xdr.gz"
_DATA = gzip.decompress(_FILE.read_bytes())
_OTHER = "ab" * 32


def _headers() -> tuple[LedgerHeader, ...]:
    return headers_of(read_headers(_DATA, STANDALONE, _LEDGERS, "ledger.xdr"))


def test_headers_are_read_and_proven() -> None:
    headers = _headers()
    assert [header.sequence for header in headers] == list(_LEDGERS)
    assert {header.protocol for header in headers} == {19}
    assert all(header.ledger_hash == header.computed_hash for header in headers)
    assert all(len(header.bucket_list_hash) == 64 for header in headers)
    assert sorted(header.close_time for header in headers) == [header.close_time for header in headers]
    assert {header.total_coins for header in headers} == {10**18}
    assert all(0 < header.fee_pool < 10**18 for header in headers)
    verify_headers(headers, _LEDGERS, "ledger.xdr")


def test_the_chain_goes_on_from_the_file_before() -> None:
    before = gzip.decompress(_FILE.with_name("ledger-00000057.xdr.gz").read_bytes())
    last = headers_of(read_headers(before, STANDALONE, LedgerRange(80, 87), "before"))[-1]
    require_link(last, _headers()[0], "ledger.xdr")
    with pytest.raises(HashMismatchError, match="ledger 89 names") as caught:
        require_link(last, _headers()[1], "ledger.xdr")
    assert caught.value.computed == last.ledger_hash
    assert caught.value.expected == _headers()[1].previous_ledger_hash
    assert caught.value.file == "ledger.xdr"


def test_a_hash_that_is_not_the_headers_is_refused_with_both() -> None:
    headers = list(_headers())
    headers[4] = replace(headers[4], ledger_hash=_OTHER)
    with pytest.raises(HashMismatchError, match="header of ledger 92") as caught:
        verify_headers(headers, _LEDGERS, "ledger.xdr")
    assert caught.value.expected == _OTHER
    assert caught.value.computed == headers[4].computed_hash


def test_a_link_that_is_wrong_is_refused_with_both() -> None:
    headers = list(_headers())
    headers[4] = replace(headers[4], previous_ledger_hash=_OTHER)
    with pytest.raises(HashMismatchError, match=f"ledger 92 names {_OTHER} as the hash of ledger 91"):
        verify_headers(headers, _LEDGERS, "ledger.xdr")


@pytest.mark.parametrize(
    "order,message",
    [
        ([], "no ledger headers, expected ledgers 88-95"),
        ([0, 1, 2, 3, 4, 5, 6], "holds 7 ledger headers, 88 to 94, .*the first one missing is 95"),
        ([1, 2, 3, 4, 5, 6, 7], "the first one missing is 88; is the checkpoint frequency right"),
        ([0, 1, 2, 4, 5, 6, 7], "the first one missing is 91$"),
        ([0, 0, 1, 2, 3, 4, 5, 6, 7], "holds 9 ledger headers"),
        ([1, 0, 2, 3, 4, 5, 6, 7], "holds 8 ledger headers"),
    ],
)
def test_other_ledgers_than_the_files_are_refused(order: list[int], message: str) -> None:
    headers = _headers()
    with pytest.raises(ArchiveFileCorruptError, match=message):
        verify_headers([headers[index] for index in order], _LEDGERS, "ledger.xdr")


def test_no_bytes_are_no_headers() -> None:
    assert headers_of(read_headers(b"", STANDALONE, _LEDGERS, "ledger.xdr")) == ()


@pytest.mark.parametrize("cut", [1, 3, 4, 100, len(_DATA) - 3, len(_DATA) - 30])
def test_cut_records_are_refused(cut: int) -> None:
    with pytest.raises(ArchiveFileCorruptError, match=r"ledger\.xdr: record \d+ at byte \d+ claims"):
        read_headers(_DATA[:-cut], STANDALONE, _LEDGERS, "ledger.xdr")


@pytest.mark.parametrize("length", [0, 35, 36, 0x7FFF_FFFF])
def test_a_record_of_a_wrong_length_is_refused(length: int) -> None:
    data = (0x8000_0000 | length).to_bytes(4, "big") + bytes(36)
    with pytest.raises(ArchiveFileCorruptError, match=r"ledger\.xdr"):
        read_headers(data, STANDALONE, _LEDGERS, "ledger.xdr")


def test_a_newer_protocol_is_named_before_a_record_that_cannot_be_decoded() -> None:
    newest = STANDALONE.newest_protocol
    for protocol, error in ((newest + 1, UnsupportedProtocolError), (newest, ArchiveFileCorruptError)):
        record = bytes(32) + protocol.to_bytes(4, "big") + b"what no one can decode.."
        data = _DATA + (0x8000_0000 | len(record)).to_bytes(4, "big") + record
        with pytest.raises(error) as caught:
            read_headers(data, STANDALONE, _LEDGERS, "ledger.xdr")
        if error is UnsupportedProtocolError:
            assert f"ledger 96 has protocol {newest + 1}" in str(caught.value)
