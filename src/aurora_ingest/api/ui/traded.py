"""What can be exchanged at a ledger, prepared for being searched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from aurora_ingest.db.read_pairs import TradedPair

Item = TypeVar("Item")


@dataclass(frozen=True)
class Traded:
    """Pairs and assets of one ledger, with the text that each is found by.

    Attributes:
        ledger: the ledger.
        pairs: those with most offers first.
        assets: with the number of their pairs, those in most pairs first.
    """

    ledger: int
    pairs: tuple[tuple[str, TradedPair], ...]
    assets: tuple[tuple[str, tuple[str, int]], ...]

    @classmethod
    def of(cls, ledger: int, pairs: Sequence[TradedPair]) -> Traded:
        """Prepares the pairs of a ledger."""
        counts = Counter(name for pair in pairs for name in (pair.base, pair.counter))
        texts = {name: _text(name) for name in counts}
        assets = sorted(counts.items(), key=lambda asset: (-asset[1], asset[0]))
        return cls(
            ledger,
            tuple((f"{texts[pair.base]} {texts[pair.counter]}", pair) for pair in pairs),
            tuple((texts[name], (name, count)) for name, count in assets),
        )


def found(items: Sequence[tuple[str, Item]], search: str) -> tuple[int, Callable[[int], list[Item]]]:
    """Searches for items in whose text each word of a search is.

    Returns:
        How many there are, and a function that returns the first so many.
    """
    words = search.casefold().replace("/", " ").split()
    for word in words:
        items = [item for item in items if word in item[0]]
    return len(items), lambda limit: [item for _, item in items[:limit]]


def _text(name: str) -> str:
    return "native xlm" if name == "native" else name.casefold()
