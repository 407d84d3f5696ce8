"""Finding out which part of a LedgerCloseMeta is broken when it does not decode."""

from __future__ import annotations

from aurora_ingest import _kernel

_LENGTH_OF_EXT = {1: 36, 2: 68 + 36, 3: 8 + 36, 4: 76 + 36}
"""Bytes before the signature in the forms of a StellarValue's extension."""
_AFTER_VALUE = 32 + 32 + 4 + 8 + 8 + 4 + 8 + 4 + 4 + 4 + 4 * 32
"""Bytes of a LedgerHeader between its StellarValue and its extension."""
_SETS = {0: "TransactionSet", 1: "GeneralizedTransactionSet", 2: "GeneralizedTransactionSet"}


def broken_column(data: bytes, fault: int) -> str:
    """Name the column of verdicts that a fault belongs to.

    Args:
        data: a LedgerCloseMeta that does not decode.
        fault: byte at which that was noticed.

    Returns:
        ``header_hash``, ``tx_set_hash``, or ``result_hash`` for all that follows the transaction set.
    """
    version = int.from_bytes(data[:4], "big")
    start = 4 if version == 0 else 8 + (0 if data[4:8] == bytes(4) else 12)
    end = _end_of_header(data, start)
    if end is None or fault < end or version not in _SETS:
        return "header_hash"
    try:
        _kernel.xdr_validate(_SETS[version], data[end:])
    except _kernel.XdrError as error:
        # The bytes behind a whole set are a fault too: what counts is which fault comes first.
        return "tx_set_hash" if end + error.offset >= fault else "result_hash"
    return "result_hash"


def _end_of_header(data: bytes, start: int) -> int | None:
    """The byte behind a LedgerHeaderHistoryEntry; None if it has none of the known forms."""

    def word(place: int) -> int:
        return int.from_bytes(data[place : place + 4], "big")

    place = start + 32 + 4 + 32 + 32 + 8
    upgrades = word(place)
    place += 4
    if upgrades > 6:
        return None
    for _ in range(upgrades):
        place += 4 + (word(place) + 3) // 4 * 4
    form = word(place)
    place += 4
    if form:
        if form not in _LENGTH_OF_EXT:
            return None
        place += _LENGTH_OF_EXT[form]
        place += 4 + (word(place) + 3) // 4 * 4
    place += _AFTER_VALUE
    place += 4 + (8 if word(place) else 0) + 4
    return place if place <= len(data) else None
