"""Proof that ledgers on their way into a lake follow from each other, and from those that the lake has beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.errors import HashMismatchError, LakeConflictError, LedgerStreamError
from aurora_ingest.ledger_backend.backend import FIRST_CLOSED_LEDGER, RawLedger
from aurora_ingest.network import Network

_COLUMNS: Final = (
    "ledger_sequence",
    "ledger_hash",
    "computed_hash",
    "previous_ledger_hash",
    "close_time",
    "protocol_version",
)


@dataclass(frozen=True)
class ChainLink:
    """What ties a ledger to its neighbours, and what a file's metadata says of it.

    Attributes:
        sequence: ledger sequence.
        ledger_hash: hash that the ledger states of its header, lower-case hex.
        computed_hash: SHA-256 of the header, lower-case hex.
        previous_ledger_hash: hash of the ledger before, as the header names it, lower-case hex.
        close_time: seconds since 1970.
        protocol: in force after the ledger.
    """

    sequence: int
    ledger_hash: str
    computed_hash: str
    previous_ledger_hash: str
    close_time: int
    protocol: int


def links(network: Network, ledgers: Sequence[RawLedger]) -> list[ChainLink]:
    """The links of a file's ledgers.

    Args:
        network: for the kernel, and the protocols that can be read.
        ledgers: those of one file.

    Raises:
        LedgerStreamError: one does not decode.
        UnsupportedProtocolError: one is of a newer protocol.
    """
    decoder = _kernel.LedgerDecoder(network_id=network.network_id, columns={"ledgers": _COLUMNS})
    found: list[ChainLink] = []
    for raw in ledgers:
        try:
            decoder.push(raw.data)
        except ValueError as error:
            raise LedgerStreamError(f"{raw.origin}: ledger {raw.sequence}: {error}", path=raw.origin) from error
        # One ledger at a time: together the rows of a file may be more than the kernel holds.
        row = pa.record_batch(decoder.take()["ledgers"])
        found.append(ChainLink(*(row.column(name)[0].as_py() for name in _COLUMNS)))
        network.require_protocol(found[-1].protocol, raw.sequence)
    return found


def require_chain(before: ChainLink | None, found: Sequence[ChainLink], source: str) -> None:
    """Refuses ledgers whose headers do not prove themselves or do not follow from each other.

    Args:
        before: the ledger in front of them, if it comes from the same source.
        found: ascending, without a hole.
        source: for messages.

    Raises:
        HashMismatchError: a header does not have its hash, or names another one before it.
    """
    for link in found:
        if link.computed_hash != link.ledger_hash:
            raise HashMismatchError(
                f"{source}: header of ledger {link.sequence} hashes to {link.computed_hash}, but {link.ledger_hash} is "
                "stated",
                expected=link.ledger_hash,
                computed=link.computed_hash,
            )
        # The first ledger follows from genesis, which no lake has.
        if before is not None and not _follows(before, link):
            raise HashMismatchError(
                f"{source}: ledger {link.sequence} names {link.previous_ledger_hash} as the hash of ledger "
                f"{before.sequence}, which is {before.ledger_hash}",
                expected=link.previous_ledger_hash,
                computed=before.ledger_hash,
            )
        before = link


def require_same_chain(before: ChainLink, after: ChainLink, lake: str) -> None:
    """Refuses ledgers that do not join those in the lake.

    Args:
        before: one ledger.
        after: the next one; one of the two is in the lake, the other on its way.
        lake: for the message.

    Raises:
        LakeConflictError: the lake has another chain, for instance of the network before it was reset.
    """
    if after.sequence > FIRST_CLOSED_LEDGER and not _follows(before, after):
        raise LakeConflictError(
            f"{lake} has another chain than the source: ledger {after.sequence} names {after.previous_ledger_hash} as "
            f"the hash of ledger {before.sequence}, which is {before.ledger_hash}; was the network reset? "
            "Begin a new lake"
        )


def _follows(before: ChainLink, after: ChainLink) -> bool:
    return after.previous_ledger_hash == before.ledger_hash
