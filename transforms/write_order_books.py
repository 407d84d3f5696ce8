"""The order books of followed ledgers into the database, ledger by ledger, when all pairs of a ledger are there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import sqlalchemy as sa
from apache_beam.coders import Coder, FastPrimitivesCoder
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from aurora_ingest.db import order_book_levels
from aurora_ingest.db.engine import connect
from aurora_ingest.db.order_book import OrderBookRows
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.transforms import metrics, order_book_metrics
from aurora_ingest.transforms.lead import CommittedLedger
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from aurora_ingest.transforms.order_book_levels import gathered, level_batch
from aurora_ingest.transforms.order_book_memory import cell
from aurora_ingest.transforms.orderbook import (
    CHANGES,
    MARKS,
    DatabaseBooks,
    ExtractPairChanges,
    LevelsOfPair,
    UpdateOrderBookPerPair,
)
from aurora_ingest.transforms.pair_books import Pair, PairLevels
from aurora_ingest.transforms.pair_chain import LOST, LedgerMark

_LOG = logging.getLogger(__name__)
_PRIMITIVES = FastPrimitivesCoder()
_News = tuple[str, Any, Any]
"""A mark with ledger and number of pairs, or levels with the pair and its rows; as primitives."""


@dataclass
class _Gathered:
    """What has come of one ledger: how many pairs there will be, and the levels of some."""

    expected: int | None = None
    rows: dict[Pair, PairLevels] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return self.expected is not None and len(self.rows) >= self.expected

    @property
    def is_lost(self) -> bool:
        return self.expected == LOST or any(row.levels is None for row in self.rows.values())


class _GatheredCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """Ledgers that are not complete, as tuples of primitives."""

    def encode(self, value: dict[int, _Gathered]) -> bytes:
        """Encode them."""
        flat = [
            (ledger, each.expected, [(pair, row.ledger, row.closed_at, row.levels) for pair, row in each.rows.items()])
            for ledger, each in value.items()
        ]
        encoded: bytes = _PRIMITIVES.encode(flat)
        return encoded

    def decode(self, encoded: bytes) -> dict[int, _Gathered]:
        """Decode them."""
        return {
            ledger: _Gathered(expected, {pair: PairLevels(*row) for pair, *row in rows})
            for ledger, expected, rows in _PRIMITIVES.decode(encoded)
        }


class _WriteFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Gathers the pairs of ledgers and writes those that are complete; one key."""

    GATHERED = ReadModifyWriteStateSpec("gathered", _GatheredCoder())

    def __init__(self, db_url: str, memory: str | None) -> None:
        self._db_url = db_url
        self._memory = memory
        self._engine: sa.Engine | None = None

    def process(
        self,
        keyed: tuple[int, _News],
        state: Any = beam.DoFn.StateParam(GATHERED),  # noqa: B008  # Beam's way to declare state
    ) -> Iterator[int]:
        kept = cell(self._memory, "gathered", state)
        waiting: dict[int, _Gathered] = kept.read() or {}
        kind, name, value = keyed[1]
        if kind == MARKS:
            waiting.setdefault(name, _Gathered()).expected = value
        else:
            for ledger, closed_at, levels in value:
                waiting.setdefault(ledger, _Gathered()).rows[name] = PairLevels(ledger, closed_at, levels)
        complete = {}
        for ledger in sorted(waiting):
            if not waiting[ledger].is_complete:
                break  # in order, so that what is written has no holes if this node stops here
            complete[ledger] = waiting.pop(ledger)
        for run in _runs(ledger for ledger, each in complete.items() if not each.is_lost):
            self._write(run, [complete[ledger].rows for ledger in run])
        for ledger, each in complete.items():
            if each.is_lost:
                _LOG.warning("Order books of a ledger are lost; fill-gaps writes them", extra={"ledger": ledger})
            metrics.publish(order_book_metrics.OrderBooksWritten(ledger, len(each.rows), each.is_lost))
            yield ledger
        kept.write(waiting)

    def _write(self, ledgers: LedgerRange, rows: list[dict[Pair, PairLevels]]) -> None:
        if self._engine is None:
            self._engine = connect(self._db_url)
        levels = gathered(row for some in rows for row in some.items())
        order_book_levels.write_ledgers(
            self._engine, ledgers, [len(some) for some in rows], level_batch(levels, json=True)
        )

    def teardown(self) -> None:
        if self._engine is not None:
            self._engine.dispose()


def _runs(ledgers: Iterable[int]) -> list[LedgerRange]:
    """Return ascending ledgers as ranges without holes."""
    runs: list[LedgerRange] = []
    for ledger in ledgers:
        if runs and runs[-1].last + 1 == ledger:
            runs[-1] = LedgerRange(runs[-1].first, ledger)
        else:
            runs.append(LedgerRange(ledger, ledger))
    return runs


class WriteOrderBooks(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """CommittedLedgers → the sequences of those whose order books are in ``order_book_levels``.

    Unbounded or bounded, no windows. Leaders and followers do the same: a ledger is written in one transaction when
    the levels of all pairs that it changed are there, with a note that it is complete; a node that finds the note
    writes nothing. So ledgers that come again change nothing, and one that no node could tell stays a gap. Gathering
    and writing have one constant key, the books are parallel by pair. Fails when the database does.
    """

    def __init__(
        self,
        db_url: str,
        depth: int,
        *,
        memory: str | None = None,
        read_books: Callable[[], OrderBookRows] | None = None,
    ) -> None:
        """Keep where levels go.

        Args:
            db_url: the database.
            depth: most prices on each side.
            memory: name of the process's memory that stands for state, where state does not outlive a round.
            read_books: reads the books to begin with; from the database if not given.
        """
        super().__init__()
        self._db_url = db_url
        self._depth = depth
        self._memory = memory
        self._read_books = read_books or DatabaseBooks(db_url)

    def expand(self, ledgers: beam.PCollection[CommittedLedger]) -> beam.PCollection[int]:
        """Wire the steps."""
        units = ledgers | "Unit" >> beam.Map(_unit).with_output_types(LedgerUnit)
        extracted = units | "ExtractPairChanges" >> ExtractPairChanges(self._read_books, memory=self._memory)
        levels = extracted[CHANGES] | "UpdateOrderBookPerPair" >> UpdateOrderBookPerPair(
            self._depth, memory=self._memory
        )
        news = (
            extracted[MARKS] | "OfMark" >> beam.Map(_of_mark).with_output_types(tuple[int, Any]),
            levels | "OfLevels" >> beam.Map(_of_levels).with_output_types(tuple[int, Any]),
        )
        write = beam.ParDo(_WriteFn(self._db_url, self._memory)).with_output_types(int)
        return news | "News" >> beam.Flatten() | "Write" >> write


def _unit(committed: CommittedLedger) -> LedgerUnit:
    return committed.unit


def _of_mark(mark: LedgerMark) -> tuple[int, _News]:
    return 0, (MARKS, mark.ledger, mark.pairs)


def _of_levels(levels: LevelsOfPair) -> tuple[int, _News]:
    return 0, (CHANGES, levels.pair, [(each.ledger, each.closed_at, each.levels) for each in levels.levels])
