"""A run of consecutive ledgers, inclusive at both ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurora_ingest.errors import UsageError
from aurora_ingest.network import UINT32_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, order=True)
class LedgerRange:
    """Ledgers ``first`` to ``last``, both included; one ledger if they are equal.

    Attributes:
        first: lowest ledger sequence, at least 1.
        last: highest ledger sequence, at most 2**32 - 1.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        """Refuses an empty range and sequences that no ledger has.

        Raises:
            UsageError: ``first`` is above ``last``, below 1, or ``last`` does not fit 32 bits.
        """
        if self.first < 1:
            raise UsageError(f"ledger range {self.first}-{self.last} starts below ledger 1")
        if self.last > UINT32_MAX:
            raise UsageError(f"ledger range {self.first}-{self.last} ends above ledger {UINT32_MAX}")
        if self.first > self.last:
            raise UsageError(f"ledger range {self.first}-{self.last} ends before it starts; both ends are inclusive")

    def __len__(self) -> int:
        """How many ledgers."""
        return self.last - self.first + 1

    def __iter__(self) -> Iterator[int]:
        """Ledger sequences in ascending order."""
        return iter(range(self.first, self.last + 1))

    def __contains__(self, ledger: object) -> bool:
        """Whether the ledger sequence lies inside."""
        return isinstance(ledger, int) and self.first <= ledger <= self.last

    def __str__(self) -> str:
        """``5`` for one ledger, ``5-9`` for several."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def intersection(self, other: LedgerRange) -> LedgerRange | None:
        """The ledgers in both ranges, or None if there is none."""
        first, last = max(self.first, other.first), min(self.last, other.last)
        return LedgerRange(first, last) if first <= last else None

    def meets(self, other: LedgerRange) -> bool:
        """Whether ``other`` starts with the ledger right after this range: no hole, no overlap."""
        return other.first == self.last + 1

    def chunks(self, size: int) -> Iterator[LedgerRange]:
        """Cuts the range into pieces at absolute multiples of ``size``.

        The cuts depend on ledger sequences only, so two overlapping ranges are cut at the same places.

        Args:
            size: ledgers per full piece, at least 1; the first and the last piece may be shorter.

        Yields:
            pieces in ascending order, which meet and cover the range exactly.

        Raises:
            UsageError: ``size`` is below 1.
        """
        if size < 1:
            raise UsageError(f"chunk size {size} is below 1")
        first = self.first
        while first <= self.last:
            last = min((first // size + 1) * size - 1, self.last)
            yield LedgerRange(first, last)
            first = last + 1
