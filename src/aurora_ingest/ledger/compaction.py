"""Compaction: the changes of one ledger become one net change per ledger key."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.errors import ContradictoryChangesError
from aurora_ingest.ledger.change import place_of


def compact(changes: pa.RecordBatch) -> pa.RecordBatch:
    """Folds the changes of one ledger, in their order, to what the ledger did to each key.

    The first image before and the last image after are kept; what was created and removed within the ledger is
    nothing. A restored entry may or may not have existed and its own value counts, never one that was seen before; an
    evicted entry leaves. Where no former image was seen, ``pre_known`` is false: nothing tells whether there was one.

    A parallel phase (protocol 23) is listed transaction by transaction, though core did what comes before each
    transaction first, for all of them: such changes are put where their images belong. Of lives (TTL) that operations
    prolonged side by side the longest holds.

    Args:
        changes: rows of the ledger table ``changes`` of one ledger; at least change.COMPACTED_COLUMNS.

    Returns:
        One row per key that the ledger changed, in core's key order: ledger_sequence, ledger_key, key_hash (a TTL's is
        the hash it names), entry_type, pre_known, pre_xdr, post_xdr, evicted, restored, first_change, last_change.

    Raises:
        ContradictoryChangesError: two changes cannot both have happened, or are of two ledgers; names both places.
        StateError: an entry is not what its change says.
    """
    try:
        return pa.record_batch(_kernel.compact_changes(changes))
    except _kernel.ChangeError as error:
        first, second = place_of(changes, error.first), place_of(changes, error.second)
        message = f"{error}: {first}, {second}"
        raise ContradictoryChangesError(message, first=error.first, second=error.second) from error
