"""What moving order books tells inside one process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class OrderBooksMoved:
    """The books of some pairs moved on; `sizes` are the bytes that are kept of each of them."""

    sizes: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class OrderBooksWritten:
    """The order books of a ledger are in the database, or are lost to this node.

    Attributes:
        ledger: ledger sequence.
        pairs: pairs that the ledger changed.
        is_lost: they could not be told; the ledger is a gap.
    """

    ledger: int
    pairs: int
    is_lost: bool = False
