"""LedgerCloseMeta put together from the pieces that other sources keep, so that one decoder serves all.

Only fixed places are looked into here: a header's protocol, previous hash and transaction set hash stand before all of
variable length. Everything else is copied whole, and the kernel validates the result when it decodes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

GENERALIZED_FROM: Final = 20
"""Protocol of the header before from which a ledger has a generalized transaction set."""
PARALLEL_FROM: Final = 23
"""Protocol of the header before from which the second phase of a generalized set is a parallel one."""
NO_HASH: Final = bytes(32)

_V0, _V1 = bytes(4), b"\x00\x00\x00\x01"
_NONE: Final = bytes(4)
"""An empty vector, an absent optional, a union's arm 0: four zero bytes each."""
_NO_META: Final = _NONE + _V0 + _NONE
"""No fee changes, and a TransactionMeta of version 0 without operations."""
_SEQUENTIAL, _PARALLEL = _V0 + _NONE, _V1 + _NONE + _NONE
"""Phases without transactions: no component; no base fee and no stage."""


@dataclass(frozen=True)
class TransactionSet:
    """A transaction set as XDR.

    Attributes:
        xdr: a TransactionSet, or a GeneralizedTransactionSet.
        generalized: which of the two.
    """

    xdr: bytes
    generalized: bool = False


@dataclass(frozen=True)
class HeaderFacts:
    """What stands at fixed places of a LedgerHeader.

    Attributes:
        protocol: in force after the ledger's upgrades.
        previous_hash: hash of the ledger before.
        set_hash: hash of the transaction set.
    """

    protocol: int
    previous_hash: bytes
    set_hash: bytes

    @staticmethod
    def of(header: bytes) -> HeaderFacts:
        """Reads them from the start of a LedgerHeader.

        Raises:
            ValueError: it is too short to be one.
        """
        if len(header) < 68:
            raise ValueError(f"a ledger header of {len(header)} bytes")
        return HeaderFacts(int.from_bytes(header[:4], "big"), header[4:36], header[36:68])


def vector(items: Sequence[bytes]) -> bytes:
    """XDR of a vector of values."""
    return len(items).to_bytes(4, "big") + b"".join(items)


def header_entry(ledger_hash: bytes, header: bytes) -> bytes:
    """LedgerHeaderHistoryEntry of a header and its hash."""
    return ledger_hash + header + _V0


def legacy_set(previous_hash: bytes, envelopes: Sequence[bytes]) -> TransactionSet:
    """The legacy set of envelopes, which stand in the order of their SHA-256."""
    ordered = sorted(envelopes, key=lambda envelope: hashlib.sha256(envelope).digest())
    return TransactionSet(previous_hash + vector(ordered))


def set_of_entry(entry: bytes) -> TransactionSet:
    """The set in a TransactionHistoryEntry.

    The entry ends with what kind of set it has. Where that is a generalized one, the legacy set in its place is empty.

    Raises:
        ValueError: the entry is too short, or of a newer kind.
    """
    if len(entry) < 44:
        raise ValueError(f"a TransactionHistoryEntry of {len(entry)} bytes")
    if entry[36:40] == _NONE and entry[40:44] == _V1:
        return TransactionSet(entry[44:], generalized=True)
    if not entry.endswith(_V0):
        raise ValueError("a TransactionHistoryEntry of an unknown kind")
    return TransactionSet(entry[4:-4])


def empty_set(header: HeaderFacts) -> TransactionSet:
    """The set without transactions that a header names by its hash.

    Returns:
        the one with the header's hash. If none has it, the one that a ledger of this protocol should have: whether that
        matters is for the caller, who can ask `is_proven`.
    """
    candidates = list(_empty_sets(header))
    return next((each for each in candidates if _empty_hash(each) == header.set_hash), candidates[0])


def is_empty(transactions: TransactionSet, header: HeaderFacts) -> bool:
    """Whether a set has no transactions."""
    return transactions in _empty_sets(header)


def is_proven(empty: TransactionSet, header: HeaderFacts) -> bool:
    """Whether an empty set is the one that the header names; genesis and an EMPTY_TX_SET value (CAP-83) name none."""
    return header.set_hash in {NO_HASH, _empty_hash(empty)}


def ledger_close_meta(
    header: bytes, transactions: TransactionSet, processing: Sequence[bytes], upgrades: Sequence[bytes] = ()
) -> bytes:
    """A LedgerCloseMeta, version 0, or 1 around a generalized set.

    Args:
        header: LedgerHeaderHistoryEntry.
        transactions: the ledger's set.
        processing: TransactionResultMeta of each transaction, in apply order.
        upgrades: UpgradeEntryMeta of each upgrade, in order.
    """
    body = [header, transactions.xdr, vector(processing), vector(upgrades), _NONE]
    if not transactions.generalized:
        return b"".join([_V0, *body])
    # Behind it: the size of the Soroban state (8 bytes), no evicted keys, and a list that is never used.
    return b"".join([_V1, _V0, *body, bytes(8), _NONE, _NONE])


def without_meta(results: Sequence[bytes]) -> list[bytes]:
    """TransactionResultMeta of each TransactionResultPair, with nothing changed."""
    return [result + _NO_META for result in results]


def _empty_hash(empty: TransactionSet) -> bytes:
    """A legacy set hashes without the number of its envelopes, a generalized one as it is."""
    return hashlib.sha256(empty.xdr if empty.generalized else empty.xdr[: len(NO_HASH)]).digest()


def _empty_sets(header: HeaderFacts) -> Iterator[TransactionSet]:
    legacy = TransactionSet(header.previous_hash + _NONE)
    sequential = _generalized(header.previous_hash, _SEQUENTIAL)
    parallel = _generalized(header.previous_hash, _PARALLEL)
    # The header before decides, and this one may be of the ledger that upgraded: so all of them are tried.
    if header.protocol >= PARALLEL_FROM:
        yield from (parallel, sequential, legacy)
    elif header.protocol >= GENERALIZED_FROM:
        yield from (sequential, legacy, parallel)
    else:
        yield from (legacy, sequential, parallel)


def _generalized(previous_hash: bytes, second_phase: bytes) -> TransactionSet:
    return TransactionSet(_V1 + previous_hash + vector([_SEQUENTIAL, second_phase]), generalized=True)
