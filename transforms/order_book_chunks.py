"""The order books of bounded ledgers: levels and marks become chunks, as the writers of history take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa

from aurora_ingest.errors import StateError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit, Receipt
from aurora_ingest.transforms.order_book_levels import NAME, TABLE, gathered
from aurora_ingest.transforms.orderbook import CHANGES, MARKS, LevelsOfPair
from aurora_ingest.transforms.pair_books import PairLevels
from aurora_ingest.transforms.pair_chain import LedgerMark
from aurora_ingest.transforms.processors.processor import processed

_Mark = tuple[str, int, int]


class _MarkFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Keys marks of wanted ledgers by chunk."""

    def __init__(self, ledgers: LedgerRange, chunk_ledgers: int) -> None:
        self._ledgers = ledgers
        self._size = chunk_ledgers

    def process(self, mark: LedgerMark) -> Iterator[tuple[int, _Mark]]:
        if mark.ledger in self._ledgers:
            yield mark.ledger // self._size, (MARKS, mark.ledger, mark.pairs)


class _LevelsFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Keys levels of wanted ledgers by chunk."""

    def __init__(self, ledgers: LedgerRange, chunk_ledgers: int) -> None:
        self._ledgers = ledgers
        self._size = chunk_ledgers

    def process(self, levels: LevelsOfPair) -> Iterator[tuple[int, Any]]:
        for each in levels.levels:
            if each.ledger in self._ledgers:
                row = (each.ledger, each.closed_at, each.levels)
                yield each.ledger // self._size, (CHANGES, levels.pair, row)


class _ChunkFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Makes the unit of one chunk."""

    def __init__(self, ledgers: LedgerRange, chunk_ledgers: int) -> None:
        self._ledgers = ledgers
        self._size = chunk_ledgers

    def process(self, keyed: tuple[int, Iterable[Any]]) -> Iterator[LedgerUnit]:
        number, news = keyed
        grid = LedgerRange(max(number * self._size, 1), (number + 1) * self._size - 1)
        chunk = grid.intersection(self._ledgers)
        assert chunk is not None
        expected: dict[int, int] = {}
        rows = []
        for kind, name, value in news:
            if kind == MARKS:
                expected[name] = value
            else:
                rows.append((tuple(name), PairLevels(*value)))
        yield chunk_unit(chunk, expected, rows)


def chunk_unit(chunk: LedgerRange, pairs: dict[int, int], rows: list[tuple[tuple[str, str], PairLevels]]) -> LedgerUnit:
    """Make the one slice of a chunk of order books.

    Args:
        chunk: its ledgers.
        pairs: how many pairs each ledger changed.
        rows: the levels of the pairs.

    Raises:
        StateError: a ledger, or a pair of one, is missing.
    """
    found = dict.fromkeys(chunk, 0)
    for _, each in rows:
        found[each.ledger] += each.levels is not None
    for ledger in chunk:
        if pairs.get(ledger) != found[ledger]:
            message = (
                f"order books of ledger {ledger}: {found[ledger]} pairs are told, expected "
                f"{pairs.get(ledger, 'the ledger itself')}"
            )
            raise StateError(message)
    decoded = {"ledgers": pa.record_batch({"ledger_sequence": pa.array(list(chunk), pa.int64())}), NAME: gathered(rows)}
    receipt = Receipt(CHUNK, 0, last=True)
    span = (chunk.first, chunk.last)
    unit = LedgerUnit(CHUNK, 0, True, chunk.first, chunk.last, {}, {}, {}, receipt, decoded=decoded, chunk=span)
    return processed(unit, TABLE)


class GatherOrderBooks(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Levels of pairs and marks of ledgers → one slice per chunk of the absolute grid, with ``order_book_levels``.

    Bounded; rows in order of ledger and pair whatever the order in which they came. Shuffles the levels, which are
    small beside the ledgers; a chunk is held by one worker. Fails when a ledger or one of its pairs is missing.
    """

    def __init__(self, ledgers: LedgerRange, chunk_ledgers: int) -> None:
        """Keep which ledgers are wanted.

        Args:
            ledgers: the others only led to them.
            chunk_ledgers: ledgers per chunk.
        """
        super().__init__()
        self._ledgers = ledgers
        self._size = chunk_ledgers

    def expand(self, inputs: tuple[Any, Any]) -> beam.PCollection[LedgerUnit]:
        """Wire the steps; the inputs are levels and marks."""
        levels, marks = inputs
        place = (self._ledgers, self._size)
        news = (
            levels | "KeyedLevels" >> beam.ParDo(_LevelsFn(*place)).with_output_types(tuple[int, Any]),
            marks | "KeyedMarks" >> beam.ParDo(_MarkFn(*place)).with_output_types(tuple[int, Any]),
        )
        return (
            news
            | beam.Flatten()
            | "ByChunk" >> beam.GroupByKey()
            | "Chunk" >> beam.ParDo(_ChunkFn(*place)).with_output_types(LedgerUnit)
        )
