"""Amounts as people write them, seven decimals, and as the network keeps them, whole stroops."""

from __future__ import annotations

import re
from typing import Final

from aurora_ingest.errors import UsageError

_STROOPS: Final = 10_000_000
_DECIMALS: Final = 7
_MAX: Final = 2**63 - 1
_AMOUNT: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,7}))?")


def stroops(text: str) -> int:
    """Reads an amount such as ``12.5``.

    Returns:
        Stroops, 0 to 2^63 - 1.

    Raises:
        UsageError: not such a number, more than seven decimals, or too large.
    """
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise UsageError(f"amount {text!r}: expected a number with at most 7 decimals, as in 12.5")
    amount = int(found[1]) * _STROOPS + int((found[2] or "").ljust(_DECIMALS, "0"))
    if amount > _MAX:
        raise UsageError(f"amount {text!r}: the largest is 922337203685.4775807")
    return amount


def units(amount: int) -> str:
    """Writes stroops with all seven decimals, as Horizon does."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    return f"{sign}{amount // _STROOPS}.{amount % _STROOPS:07d}"
