"""Ledger headers of one archive file: read by the kernel, then proven by their own hashes and their chain."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.errors import ArchiveFileCorruptError, HashMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aurora_ingest.ledger.ledger_range import LedgerRange
    from aurora_ingest.network import Network

_MARK: Final = 4
_HASH: Final = 32


@dataclass(frozen=True)
class LedgerHeader:
    """What the rest of the system needs of a ledger header.

    Attributes:
        sequence: ledger sequence.
        protocol: ``ledgerVersion``: the protocol in force after the upgrades of this ledger.
        ledger_hash: hash stated beside the header in the file, lower-case hex.
        computed_hash: SHA-256 of the header's bytes, lower-case hex.
        previous_ledger_hash: hash of the ledger before, as this header states it, lower-case hex.
        bucket_list_hash: hash of all ledger entries after this ledger, lower-case hex.
        close_time: seconds since 1970.
        total_coins: all native stroops of the network.
        fee_pool: stroops in the fee pool.
    """

    sequence: int
    protocol: int
    ledger_hash: str
    computed_hash: str
    previous_ledger_hash: str
    bucket_list_hash: str
    close_time: int
    total_coins: int
    fee_pool: int


def read_headers(data: bytes, network: Network, ledgers: LedgerRange, file: str) -> pa.RecordBatch:
    """Decodes the uncompressed content of a ledger file of an archive.

    The protocol of every header is looked at before any is decoded, so that a newer protocol gives its own message.

    Args:
        data: framed LedgerHeaderHistoryEntry records, uncompressed.
        network: says which protocols can be read.
        ledgers: what the file should hold; only names ledgers in messages here.
        file: the file's name, for messages.

    Returns:
        one row per header, in file order; the columns are the kernel's ``read_ledger_headers``.

    Raises:
        UnsupportedProtocolError: a header is of a newer protocol than the network allows.
        ArchiveFileCorruptError: the bytes are not framed ledger headers.
    """
    for index, protocol in enumerate(_protocols(data, file)):
        network.require_protocol(protocol, ledgers.first + index)
    try:
        return pa.record_batch(_kernel.read_ledger_headers(data, compression="none"))
    except ValueError as error:
        raise ArchiveFileCorruptError(f"{file}: {error}") from error


def headers_of(batch: pa.RecordBatch) -> tuple[LedgerHeader, ...]:
    """The rows of `read_headers` as values: one file's worth, never a hot path."""
    columns = [
        batch.column(name).to_pylist()
        for name in (
            "ledger_sequence",
            "protocol_version",
            "ledger_hash",
            "computed_hash",
            "previous_ledger_hash",
            "bucket_list_hash",
            "close_time",
            "total_coins",
            "fee_pool",
        )
    ]
    return tuple(LedgerHeader(*map(_hex_if_bytes, row)) for row in zip(*columns, strict=True))


def _hex_if_bytes(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def verify_headers(headers: Sequence[LedgerHeader], ledgers: LedgerRange, file: str) -> None:
    """Proves that the headers are exactly these ledgers, unchanged and chained.

    Args:
        headers: in file order.
        ledgers: which ledgers the file must hold.
        file: the file's name, for messages.

    Raises:
        ArchiveFileCorruptError: a ledger is missing, repeated or out of order.
        HashMismatchError: a header's stated hash is not the hash of its bytes, or a header does not name the hash of
            the ledger before it.
    """
    sequences = [header.sequence for header in headers]
    if sequences != list(ledgers):
        raise ArchiveFileCorruptError(f"{file}: {_wrong_ledgers(sequences, ledgers)}")
    for header in headers:
        if header.computed_hash != header.ledger_hash:
            raise HashMismatchError(
                f"{file}: header of ledger {header.sequence} hashes to {header.computed_hash}, "
                f"but the file states {header.ledger_hash}",
                expected=header.ledger_hash,
                computed=header.computed_hash,
                file=file,
            )
    for before, header in pairwise(headers):
        require_link(before, header, file)


def require_link(before: LedgerHeader, after: LedgerHeader, file: str) -> None:
    """Proves that a header names the hash of the ledger before it.

    Raises:
        HashMismatchError: it names another hash.
    """
    if after.previous_ledger_hash != before.ledger_hash:
        raise HashMismatchError(
            f"{file}: ledger {after.sequence} names {after.previous_ledger_hash} as the hash of ledger "
            f"{before.sequence}, which is {before.ledger_hash}",
            expected=after.previous_ledger_hash,
            computed=before.ledger_hash,
            file=file,
        )


def _wrong_ledgers(found: list[int], wanted: LedgerRange) -> str:
    if not found:
        return f"no ledger headers, expected ledgers {wanted}"
    text = f"holds {len(found)} ledger headers, {found[0]} to {found[-1]}, expected ledgers {wanted}"
    missing = next((ledger for ledger in wanted if ledger not in set(found)), None)
    if missing is not None:
        text += f"; the first one missing is {missing}"
    if found[-1] == wanted.last and found == list(range(found[0], found[-1] + 1)):
        text += "; is the checkpoint frequency right?"
    return text


def _protocols(data: bytes, file: str) -> Iterator[int]:
    """``ledgerVersion`` of each framed header, read at its fixed place without decoding anything."""
    place, record = 0, 0
    while place < len(data):
        length = int.from_bytes(data[place : place + _MARK], "big") & 0x7FFF_FFFF
        end = place + _MARK + length
        if end > len(data) or length < _HASH + _MARK:
            raise ArchiveFileCorruptError(
                f"{file}: record {record} at byte {place} claims {length} bytes, {len(data) - place - _MARK} are left"
            )
        start = place + _MARK + _HASH
        yield int.from_bytes(data[start : start + _MARK], "big")
        place, record = end, record + 1
