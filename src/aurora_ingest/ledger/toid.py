"""Total order ids (TOID): one int64 that orders ledgers, their transactions and their operations.

The bits from the top: sign 0, 31 of ledger sequence, 20 of transaction order, 12 of operation order. Orders start at 1
inside a ledger and a transaction; 0 stands for the ledger or the transaction itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.ledger.ledger_range import LedgerRange

_TRANSACTION_BITS: Final = 20
_OPERATION_BITS: Final = 12
_LEDGER_SHIFT: Final = _TRANSACTION_BITS + _OPERATION_BITS
LEDGER_MAX: Final = (1 << 31) - 1
TRANSACTION_MAX: Final = (1 << _TRANSACTION_BITS) - 1
OPERATION_MAX: Final = (1 << _OPERATION_BITS) - 1
TOID_MAX: Final = (1 << 63) - 1


@dataclass(frozen=True, order=True)
class Toid:
    """The place of a ledger, a transaction or an operation in the history of a network.

    Attributes:
        ledger: ledger sequence, 0 to 2**31 - 1.
        transaction: apply order inside the ledger from 1; 0 means the ledger itself.
        operation: order inside the transaction from 1; 0 means the transaction itself.
    """

    ledger: int
    transaction: int = 0
    operation: int = 0

    def __post_init__(self) -> None:
        """Refuses parts that do not fit their bits.

        Raises:
            UsageError: naming the part, its value and its bound.
        """
        for part, value, top in (
            ("ledger", self.ledger, LEDGER_MAX),
            ("transaction", self.transaction, TRANSACTION_MAX),
            ("operation", self.operation, OPERATION_MAX),
        ):
            if not 0 <= value <= top:
                raise UsageError(f"TOID: {part} {value} is not between 0 and {top}")

    def __int__(self) -> int:
        """The id as a non-negative int64."""
        return self.ledger << _LEDGER_SHIFT | self.transaction << _OPERATION_BITS | self.operation

    @classmethod
    def from_int(cls, toid: int) -> Toid:
        """Takes an id apart.

        Raises:
            UsageError: the number is negative or needs more than 63 bits.
        """
        if not 0 <= toid <= TOID_MAX:
            raise UsageError(f"TOID {toid} is not between 0 and {TOID_MAX}")
        return cls(toid >> _LEDGER_SHIFT, toid >> _OPERATION_BITS & TRANSACTION_MAX, toid & OPERATION_MAX)


def toid_bounds(ledgers: LedgerRange) -> tuple[int, int]:
    """Lowest and highest id, both inclusive, of anything inside a range of ledgers.

    Raises:
        UsageError: the range ends above ledger 2**31 - 1, which ids cannot name.
    """
    return int(Toid(ledgers.first)), int(Toid(ledgers.last, TRANSACTION_MAX, OPERATION_MAX))
