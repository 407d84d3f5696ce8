"""From committed ledgers to changes of pairs: each one is stamped with the one before it, from a bootstrap on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
from apache_beam.coders import Coder, FastPrimitivesCoder, registry

from aurora_ingest import _kernel
from aurora_ingest.db.order_book import OrderBookRows
from aurora_ingest.errors import StateError
from aurora_ingest.transforms.ledger_counts import has_lost_changes
from aurora_ingest.transforms.ledger_unit import LedgerUnit, batch_from_ipc, batch_to_ipc
from aurora_ingest.transforms.pair_books import (
    EMPTY_BOOK,
    Pair,
    PairBook,
    PairChanges,
    PairElement,
    PairStep,
    books_of,
    changed_pairs,
    pair_name,
)

MOST_HELD_BYTES: Final = 64 << 20
"""Most bytes of ledgers that wait for the one that a bootstrap stands at."""
MOST_OUT_OF_ORDER: Final = 64
"""Ledgers that may wait for one before them; with more it counts as lost, and the books are read anew."""

_PRIMITIVES: Final = FastPrimitivesCoder()
_KEY_BYTES: Final = 16


@dataclass(frozen=True)
class LedgerPairs:
    """What one ledger did to all pairs.

    Attributes:
        ledger: ledger sequence.
        closed_at: when it closed, seconds since 1970.
        pairs: base_asset, counter_asset, change, entries; as `changed_pairs` returns them.
        is_lost: some of its changes did not decode, so that nobody knows the books after it.
    """

    ledger: int
    closed_at: int
    pairs: pa.RecordBatch
    is_lost: bool = False

    @classmethod
    def of(cls, unit: LedgerUnit) -> LedgerPairs:
        """Take them out of the unit of a ledger, compacted and with its decoded header."""
        closed_at = int(unit.decoded["ledgers"].column("close_time")[0].as_py())
        return cls(unit.last_ledger, closed_at, changed_pairs(unit), has_lost_changes(unit))

    def changes(self) -> Iterable[tuple[Pair, bytes]]:
        """Return the change of each pair."""
        names = ("base_asset", "counter_asset", "change")
        columns = (self.pairs.column(name).to_pylist() for name in names)  # pairs, not offers
        return (((base, counter), change) for base, counter, change in zip(*columns, strict=True))


@dataclass(frozen=True)
class LedgersOfPairs:
    """Ledgers that came together, in any order."""

    ledgers: tuple[LedgerPairs, ...]


@dataclass(frozen=True)
class LedgerMark:
    """How many pairs a ledger changed, so that whoever collects them knows when they are complete.

    Attributes:
        ledger: ledger sequence.
        pairs: number of pairs; -1 if their books after the ledger are lost.
    """

    ledger: int
    pairs: int


LOST: Final = -1


@dataclass
class Chain:
    """What is kept to link changes.

    Attributes:
        epoch: number of the last bootstrap.
        ledger: last ledger that was passed on, None before the first bootstrap is complete.
        start: ledger that the bootstrap stands at.
        target: ledger of books that were read and whose ledger has not come yet.
        known: last ledger that changed each pair, by a hash of its name.
        books: books that were not passed on: all of them until the target is reached; then those of pairs that no
            ledger has changed, where they are kept in this process.
        held: ledgers that wait.
    """

    epoch: int = 0
    ledger: int | None = None
    start: int = 0
    target: int | None = None
    known: dict[bytes, int] = field(default_factory=dict)
    books: dict[Pair, bytes] = field(default_factory=dict)
    held: dict[int, LedgerPairs] = field(default_factory=dict)


Linked = tuple[list[tuple[Pair, PairElement]], list[LedgerMark]]


def link(
    chain: Chain, ledgers: Iterable[LedgerPairs], read_books: Callable[[], OrderBookRows], *, is_lazy: bool
) -> Linked:
    """Pass ledgers on as changes of pairs, behind the bootstraps that they follow.

    At the beginning, and after a ledger whose changes are not all known, the books of a ledger at or after the first of
    these are read; the changes that they have already are taken back, so that the levels after every ledger can be
    told. Ledgers that come again are dropped.

    Args:
        chain: what is kept; changed in place.
        ledgers: committed ledgers in any order.
        read_books: reads offers and pools of a ledger that is committed.
        is_lazy: pass the bootstrap of a pair on with its first change, and not all of them at once.

    Returns:
        Elements for `pair_books.advance` in their order, and a mark for each ledger that they are of, or that is lost.

    Raises:
        StateError: the books are older than the ledgers, or contradict them.
    """
    for each in ledgers:
        if chain.ledger is None or each.ledger > chain.ledger:
            chain.held.setdefault(each.ledger, each)
    elements: list[tuple[Pair, PairElement]] = []
    marks: list[LedgerMark] = []
    if not chain.held:
        return elements, marks
    is_broken = chain.ledger is not None and chain.ledger + 1 not in chain.held
    if chain.ledger is None or (is_broken and len(chain.held) > MOST_OUT_OF_ORDER):
        marks += _bootstrap(chain, read_books)
        if chain.ledger is not None and not is_lazy:
            for pair, book in chain.books.items():
                elements.append((pair, PairBook(chain.epoch, chain.start, 0, 1, book)))
                chain.known[_key(pair)] = chain.start
            chain.books = {}
    run: list[LedgerPairs] = []
    lost = None
    while lost is None and chain.ledger is not None and chain.ledger + 1 in chain.held:
        each = chain.held.pop(chain.ledger + 1)
        chain.ledger = each.ledger
        if each.is_lost:
            lost = each
        else:
            run.append(each)
    elements += _linked(chain, run)
    marks += [LedgerMark(each.ledger, each.pairs.num_rows) for each in run]
    if lost is not None:
        marks.append(LedgerMark(lost.ledger, LOST))
        chain.ledger, chain.known, chain.books = None, {}, {}
    return elements, marks


def _bootstrap(chain: Chain, read_books: Callable[[], OrderBookRows]) -> list[LedgerMark]:
    """Reads the books if that was not done, and goes back from them if their ledger has come."""
    chain.ledger = None
    if chain.target is None:
        rows = read_books()
        first = min(chain.held)
        if rows.ledger < first - 1:
            message = f"order books stand at ledger {rows.ledger}, and ledger {first} is committed"
            raise StateError(message)
        chain.target = rows.ledger
        chain.books = books_of(rows.offers, rows.liquidity_pools)
    target = chain.target
    if target not in chain.held and target >= min(chain.held):
        return _shortened(chain)
    has_hole = any(ledger not in chain.held for ledger in range(min(chain.held), target))
    if has_hole and len(chain.held) <= MOST_OUT_OF_ORDER:
        return []
    start = target
    while start in chain.held and not chain.held[start].is_lost:
        start -= 1
    for ledger in range(target, start, -1):
        _go_back(chain, chain.held[ledger])
    lost = [ledger for ledger in chain.held if ledger <= start]
    for ledger in lost:
        del chain.held[ledger]
    chain.epoch += 1
    chain.ledger, chain.start, chain.target, chain.known = start, start, None, {}
    return [LedgerMark(ledger, LOST) for ledger in sorted(lost)]


def _shortened(chain: Chain) -> list[LedgerMark]:
    """Gives up the oldest of the ledgers that wait when they are too many."""
    size = sum(each.pairs.nbytes for each in chain.held.values())
    lost = []
    for ledger in sorted(chain.held):
        if size <= MOST_HELD_BYTES:
            break
        size -= chain.held.pop(ledger).pairs.nbytes
        lost.append(LedgerMark(ledger, LOST))
    return lost


def _go_back(chain: Chain, each: LedgerPairs) -> None:
    for pair, change in each.changes():
        try:
            book, _ = _kernel.move_book(chain.books.get(pair, EMPTY_BOOK), [change], depth=0, backwards=True)
        except _kernel.OrderBookError as error:
            message = f"order book of {pair_name(pair)}: back over ledger {each.ledger}: {error.args[0]}"
            raise StateError(message) from error
        chain.books[pair] = book


def _linked(chain: Chain, run: Sequence[LedgerPairs]) -> list[tuple[Pair, PairElement]]:
    elements: list[tuple[Pair, PairElement]] = []
    steps: dict[Pair, list[PairStep]] = {}
    for each in run:
        for pair, change in each.changes():
            key = _key(pair)
            if key not in chain.known:
                book = chain.books.pop(pair, EMPTY_BOOK)
                elements.append((pair, PairBook(chain.epoch, chain.start, 0, 1, book)))
                chain.known[key] = chain.start
            step = PairStep(each.ledger, chain.known[key], each.closed_at, change)
            steps.setdefault(pair, []).append(step)
            chain.known[key] = each.ledger
    elements += [(pair, PairChanges(chain.epoch, tuple(some))) for pair, some in steps.items()]
    return elements


def _key(pair: Pair) -> bytes:
    return hashlib.blake2b("|".join(pair).encode(), digest_size=_KEY_BYTES).digest()


class LedgersOfPairsCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """One Arrow IPC stream per ledger."""

    def encode(self, value: LedgersOfPairs) -> bytes:
        """Encode ledgers."""
        encoded: bytes = _PRIMITIVES.encode(_ledgers(value.ledgers))
        return encoded

    def decode(self, encoded: bytes) -> LedgersOfPairs:
        """Decode ledgers."""
        return LedgersOfPairs(tuple(_ledger(*each) for each in _PRIMITIVES.decode(encoded)))

    def estimate_size(self, value: LedgersOfPairs) -> int:
        """Tell the size in bytes without encoding."""
        return sum(each.pairs.nbytes for each in value.ledgers)

    def is_deterministic(self) -> bool:
        """Equal ledgers have equal bytes."""
        return True


class ChainCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """A chain as tuples of primitives."""

    def encode(self, value: Chain) -> bytes:
        """Encode one chain."""
        known, books = list(value.known.items()), list(value.books.items())
        places = (value.epoch, value.ledger, value.start, value.target)
        encoded: bytes = _PRIMITIVES.encode((*places, known, books, _ledgers(value.held.values())))
        return encoded

    def decode(self, encoded: bytes) -> Chain:
        """Decode one chain."""
        epoch, ledger, start, target, known, books, held = _PRIMITIVES.decode(encoded)
        ledgers = {each[0]: _ledger(*each) for each in held}
        return Chain(epoch, ledger, start, target, dict(known), dict(books), ledgers)


def _ledgers(ledgers: Iterable[LedgerPairs]) -> list[tuple[int, int, bytes, bool]]:
    return [(each.ledger, each.closed_at, batch_to_ipc(each.pairs), each.is_lost) for each in ledgers]


def _ledger(ledger: int, closed_at: int, pairs: bytes, is_lost: bool) -> LedgerPairs:
    return LedgerPairs(ledger, closed_at, batch_from_ipc(pairs), is_lost)


registry.register_coder(LedgersOfPairs, LedgersOfPairsCoder)
