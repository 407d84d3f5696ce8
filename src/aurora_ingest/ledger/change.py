"""The words of ledger entry changes: entry types by number, phases of a ledger, kinds of changes, and their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aurora_ingest import _kernel

if TYPE_CHECKING:
    import pyarrow as pa

ENTRY_TYPES: Final = _kernel.ENTRY_TYPES
"""Entry tables by XDR LedgerEntryType."""
(
    ACCOUNT,
    TRUST_LINE,
    OFFER,
    DATA,
    CLAIMABLE_BALANCE,
    LIQUIDITY_POOL,
    CONTRACT_DATA,
    CONTRACT_CODE,
    CONFIG_SETTING,
    TTL,
) = range(len(ENTRY_TYPES))
MAY_LEAVE_UNSEEN: Final = (CONTRACT_DATA, CONTRACT_CODE, TTL)
"""Entry types that come back or leave without their former image: by restores and evictions."""

PHASES: Final = ("fee", "tx_before", "operation", "tx_after", "post_apply", "upgrade", "eviction")
"""Phases in the order of a ledger: all fees, then each transaction, then refunds, upgrades and evictions."""
CREATED: Final = "created"
UPDATED: Final = "updated"
REMOVED: Final = "removed"
RESTORED: Final = "restored"
EVICTED: Final = "evicted"
KINDS: Final = (CREATED, UPDATED, REMOVED, RESTORED, EVICTED)

CHANGES: Final = "changes"
"""The kernel's ledger table of all changes."""
COMPACTED_COLUMNS: Final = (
    "ledger_sequence",
    "change_index",
    "phase",
    "type",
    "entry_type",
    "ledger_key",
    "key_hash",
    "pre_xdr",
    "post_xdr",
)
"""Columns of that table that compaction reads."""
_PLACES: Final = {
    "transaction_order": "transaction",
    "operation_order": "operation",
    "upgrade_index": "upgrade",
    "list_index": "item",
}


@dataclass(frozen=True)
class ChangePlace:
    """Where in a ledger a change stands.

    Attributes:
        index: number of the change in the ledger, from 0.
        place: phase, transaction, operation and number in the list, as far as the batch tells them.
    """

    index: int
    place: str

    def __str__(self) -> str:
        """The place for messages."""
        return f"change {self.index} ({self.place})" if self.place else f"change {self.index}"


def place_of(changes: pa.RecordBatch, index: int) -> ChangePlace:
    """Finds the place of a change; for messages, never a hot path.

    Args:
        changes: rows of the ledger table ``changes``.
        index: ``change_index`` of the row.
    """
    indexes = changes.column("change_index").to_pylist()
    if index not in indexes:
        return ChangePlace(index, "")
    row = indexes.index(index)
    names = set(changes.schema.names)
    words = [str(changes.column("phase")[row].as_py())] if "phase" in names else []
    for column, word in _PLACES.items():
        value = changes.column(column)[row].as_py() if column in names else None
        if value is not None:
            words.append(f"{word} {value}")
    return ChangePlace(index, ", ".join(words))
