"""The sum of all native stroops: what has to add up, and where a network is known not to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.network import PUBNET

_WIDE: Final = pa.decimal128(30, 0)
"""Sums of 64-bit amounts stay far below 30 digits."""


@dataclass(frozen=True)
class SupplyException:
    """Ledgers of one network whose sum is known to be off.

    Attributes:
        passphrase: the network.
        first_protocol: lowest protocol of those ledgers.
        last_protocol: highest, inclusive.
        reason: what went wrong there.
    """

    passphrase: str
    first_protocol: int
    last_protocol: int
    reason: str


EXCEPTIONS: Final = (
    SupplyException(
        PUBNET.passphrase, 0, 7, "before protocol 8 the network's coins and its entries are known not to agree"
    ),
    SupplyException(
        PUBNET.passphrase,
        23,
        23,
        "protocol 23 brought archived balances back with old amounts; the upgrade to 24 put 3.1879035 XLM into the "
        "fee pool",
    ),
)
"""From protocol.md, "Numbers". A ledger counts by its own protocol; a change also by that of the ledger before."""


def exception_for(passphrase: str, protocol: int) -> SupplyException | None:
    """The known exception for a state at a ledger of that protocol, or None."""
    for each in EXCEPTIONS:
        if each.passphrase == passphrase and each.first_protocol <= protocol <= each.last_protocol:
            return each
    return None


def is_exempt(passphrase: str, before: pa.Array, protocol: pa.Array) -> pa.Array:
    """Whether a known exception covers the step from one ledger to the next.

    Args:
        passphrase: the network.
        before: protocol of the ledgers before, int64; null where not known.
        protocol: protocol of the ledgers, int64.
    """
    exempt = pa.repeat(False, len(protocol))
    for each in EXCEPTIONS:
        if each.passphrase != passphrase:
            continue
        for column in (before, protocol):
            within = pc.and_(pc.greater_equal(column, each.first_protocol), pc.less_equal(column, each.last_protocol))
            exempt = pc.or_(exempt, pc.fill_null(within, False))
    return exempt


def unaccounted_change(
    total_coins: tuple[pa.Array, pa.Array], fee_pool: tuple[pa.Array, pa.Array], native_change: pa.Array
) -> pa.Array:
    """Stroops by which coins changed from one ledger to the next without fee pool or entries accounting for them.

    Args:
        total_coins: before and after, int64.
        fee_pool: before and after, int64.
        native_change: net change of the stroops in all entries.

    Returns:
        decimal128(30, 0), 0 where all adds up; null where something is not known.
    """
    coins, fees = (pc.subtract(after.cast(_WIDE), before.cast(_WIDE)) for before, after in (total_coins, fee_pool))
    return pc.subtract(pc.subtract(coins, fees), native_change.cast(_WIDE)).cast(_WIDE)


def native_sum(balances: pa.Array | pa.ChunkedArray) -> int:
    """Adds up int64 stroops without overflow; nulls count as nothing."""
    total = pc.sum(balances.cast(_WIDE)).as_py()
    return 0 if total is None else int(total)
