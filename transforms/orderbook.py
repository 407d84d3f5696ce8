"""Order books in pipelines: the book of every pair after each ledger, and payment paths over the whole graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam
from apache_beam.coders import Coder, FastPrimitivesCoder, registry
from apache_beam.metrics import Metrics
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.transforms.window import GlobalWindows

from aurora_ingest.db import order_book
from aurora_ingest.db.engine import connect
from aurora_ingest.db.order_book import OrderBookRows
from aurora_ingest.transforms import metrics, order_book_metrics
from aurora_ingest.transforms.find_paths import FindPaths
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from aurora_ingest.transforms.order_book_memory import cell
from aurora_ingest.transforms.pair_books import (
    Pair,
    PairElement,
    PairLevels,
    PairState,
    PairStateCoder,
    advance,
)
from aurora_ingest.transforms.pair_chain import Chain, ChainCoder, LedgerPairs, LedgersOfPairs, link

__all__ = ["DatabaseBooks", "ExtractPairChanges", "FindPaths", "LevelsOfPair", "UpdateOrderBookPerPair"]

CHANGES: Final = "changes"
MARKS: Final = "marks"
_GATHERED_BYTES: Final = 16 << 20
_NAMESPACE: Final = "order_book"
_PRIMITIVES: Final = FastPrimitivesCoder()


@dataclass(frozen=True)
class DatabaseBooks:
    """Reads all offers and pools of the state in a database; picklable.

    Attributes:
        db_url: the database.
    """

    db_url: str

    def __call__(self) -> OrderBookRows:
        """Read them at one ledger.

        Raises:
            DatabaseError: there is no state, or it was found wrong.
        """
        engine = connect(self.db_url)
        try:
            return order_book.read_order_book(engine)
        finally:
            engine.dispose()


@dataclass(frozen=True)
class LevelsOfPair:
    """The books of a pair after some ledgers, added up."""

    pair: Pair
    levels: tuple[PairLevels, ...]


class _GatherFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Takes the changed pairs out of ledgers; those of a bundle go on together."""

    def start_bundle(self) -> None:
        self._ledgers: list[LedgerPairs] = []
        self._bytes = 0

    def process(self, unit: LedgerUnit) -> Iterator[tuple[int, LedgersOfPairs]]:
        ledger = LedgerPairs.of(unit)
        self._ledgers.append(ledger)
        self._bytes += ledger.pairs.nbytes
        if self._bytes > _GATHERED_BYTES:
            yield self._taken()

    def finish_bundle(self) -> Iterator[Any]:
        if self._ledgers:
            yield GlobalWindows.windowed_value(self._taken())

    def _taken(self) -> tuple[int, LedgersOfPairs]:
        taken, self._ledgers, self._bytes = LedgersOfPairs(tuple(self._ledgers)), [], 0
        return 0, taken


class _LinkFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Links changes of pairs; one key, so one chain."""

    CHAIN = ReadModifyWriteStateSpec("chain", ChainCoder())

    def __init__(self, read_books: Callable[[], OrderBookRows], memory: str | None) -> None:
        self._read_books = read_books
        self._memory = memory

    def process(
        self,
        keyed: tuple[int, LedgersOfPairs],
        state: Any = beam.DoFn.StateParam(CHAIN),  # noqa: B008  # Beam's way to declare state
    ) -> Iterator[Any]:
        kept = cell(self._memory, "chain", state)
        chain = kept.read() or Chain()
        elements, marks = link(chain, keyed[1].ledgers, self._read_books, is_lazy=self._memory is not None)
        kept.write(chain)
        yield from elements
        for mark in marks:
            yield beam.pvalue.TaggedOutput(MARKS, mark)


class ExtractPairChanges(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """LedgerUnits → elements for `UpdateOrderBookPerPair`, keyed by pair, and a LedgerMark per ledger.

    The units are of one ledger each, compacted, and the ledgers are committed. Unbounded or bounded, no windows. One
    constant key, so nothing is done in parallel; what is done is small: one
    call of the kernel per ledger. The chain is state. At its beginning, and when a ledger is missing, the books are
    read and become bootstraps of a new epoch; changes that they have already are taken back, so no ledger is left out
    unless it did not come. Ledgers that come again are dropped. Fails if the books contradict the ledgers.
    """

    def __init__(self, read_books: Callable[[], OrderBookRows], *, memory: str | None = None) -> None:
        """Keep where books come from.

        Args:
            read_books: reads offers and pools of a committed ledger; picklable.
            memory: name of the process's memory that stands for state, where state does not outlive a round.
        """
        super().__init__()
        self._read_books = read_books
        self._memory = memory

    def expand(self, ledgers: beam.PCollection[LedgerUnit]) -> Any:
        """Wire the steps; returns the PCollections CHANGES and MARKS."""
        return (
            ledgers
            | "ChangedPairs" >> beam.ParDo(_GatherFn()).with_output_types(tuple[int, LedgersOfPairs])
            | "Link" >> beam.ParDo(_LinkFn(self._read_books, self._memory)).with_outputs(MARKS, main=CHANGES)
        )


class _UpdateFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The book of one pair."""

    PAIR = ReadModifyWriteStateSpec("pair", PairStateCoder())

    def __init__(self, depth: int, memory: str | None) -> None:
        self._depth = depth
        self._memory = memory
        self._state_bytes = Metrics.distribution(_NAMESPACE, "state_bytes")
        self._waiting = Metrics.distribution(_NAMESPACE, "waiting_ledgers")
        self._told = Metrics.counter(_NAMESPACE, "told")
        self._lost = Metrics.counter(_NAMESPACE, "lost")

    def start_bundle(self) -> None:
        self._sizes: dict[Pair, int] = {}

    def process(
        self,
        keyed: tuple[Pair, PairElement],
        state: Any = beam.DoFn.StateParam(PAIR),  # noqa: B008  # Beam's way to declare state
    ) -> Iterator[LevelsOfPair]:
        pair, element = keyed
        kept = cell(self._memory, pair, state)
        book = kept.read() or PairState()
        levels = advance(pair, book, element, self._depth)
        kept.write(book)
        size = self._sizes[pair] = book.bytes
        self._state_bytes.update(size)
        self._waiting.update(len(book.waiting))
        if levels:
            lost = sum(each.levels is None for each in levels)
            self._told.inc(len(levels) - lost)
            self._lost.inc(lost)
            yield LevelsOfPair(pair, tuple(levels))

    def finish_bundle(self) -> None:
        if self._sizes:
            metrics.publish(order_book_metrics.OrderBooksMoved(self._sizes))


class UpdateOrderBookPerPair(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """PairBooks and PairChanges keyed by asset pair → LevelsOfPair: the pair's book after each ledger that changed it.

    Bounded or unbounded, no windows or watermarks. State per pair: its offers by price (24 bytes each), its pool, and
    changes that cannot be applied yet; both are bounded (``pair_books.MOST_BOOK_BYTES``, ``MOST_WAITING_BYTES``), and
    a pair beyond that is told as lost until its next bootstrap. Parallel by pair. Elements may come in any order and
    again: a change is applied once, behind the change that it names, and never before the bootstrap is complete; what
    it removes stays noted until then. So every ledger's levels come out once, in the order of ledgers per pair.
    Counters and distributions are in the namespace ``order_book``. Fails on a change that does not fit the book.
    """

    def __init__(self, depth: int, *, memory: str | None = None) -> None:
        """Keep what is told.

        Args:
            depth: most prices on each side.
            memory: name of the process's memory that stands for state, where state does not outlive a round.
        """
        super().__init__()
        self._depth = depth
        self._memory = memory

    def expand(self, changes: beam.PCollection[tuple[Pair, PairElement]]) -> beam.PCollection[LevelsOfPair]:
        """Wire the ParDo."""
        keyed = changes | "Keyed" >> beam.Map(_same).with_output_types(tuple[Pair, PairElement])
        update = _UpdateFn(self._depth, self._memory)
        return keyed | "Update" >> beam.ParDo(update).with_output_types(LevelsOfPair)


def _same(element: tuple[Pair, PairElement]) -> tuple[Pair, PairElement]:
    return element


class LevelsOfPairCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """Levels as tuples of primitives."""

    def encode(self, value: LevelsOfPair) -> bytes:
        """Encode the levels of a pair."""
        rows = [(each.ledger, each.closed_at, each.levels) for each in value.levels]
        encoded: bytes = _PRIMITIVES.encode((value.pair, rows))
        return encoded

    def decode(self, encoded: bytes) -> LevelsOfPair:
        """Decode the levels of a pair."""
        pair, rows = _PRIMITIVES.decode(encoded)
        return LevelsOfPair(pair, tuple(PairLevels(*row) for row in rows))

    def estimate_size(self, value: LevelsOfPair) -> int:
        """Tell the size in bytes without encoding."""
        return sum(len(each.levels or b"") for each in value.levels)

    def is_deterministic(self) -> bool:
        """Equal levels have equal bytes."""
        return True


registry.register_coder(LevelsOfPair, LevelsOfPairCoder)
