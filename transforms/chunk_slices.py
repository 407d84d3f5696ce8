"""The slices of a chunk on their way through the chain: which chunk, in which order, and whose failure it is."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from aurora_ingest.errors import AuroraError, DatabaseError, StateError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit


def chunk_of(unit: LedgerUnit) -> LedgerRange:
    """Return the chunk that a unit is a slice of.

    Raises:
        StateError: the unit is no slice of a chunk.
    """
    if unit.kind != CHUNK or unit.chunk is None:
        message = f"unit {unit.kind} {unit.index} is no slice of a chunk of ledgers"
        raise StateError(message)
    return LedgerRange(*unit.chunk)


class ChunkWriter(Protocol):
    """A DoFn that keeps something open from a chunk's first slice to its last."""

    def teardown(self) -> None:
        """Drops what is open."""


_writers: weakref.WeakKeyDictionary[ChunkWriter, str] = weakref.WeakKeyDictionary()


def closed_at_the_end(writer: ChunkWriter, run: str) -> None:
    """Note a writer of this process for ``close_writers``.

    Args:
        writer: the writer.
        run: name of the run that it belongs to.
    """
    _writers[writer] = run


def close_writers(run: str) -> None:
    """Tear down every writer of a run in this process that is still there.

    When a step before a writer fails, FnApiRunner drops the writer without a word; its transaction would stay open,
    with its locks, until the process ends.
    """
    for writer in [writer for writer, owner in list(_writers.items()) if owner == run]:
        writer.teardown()


class ChunkOrder:
    """Sees to it that a writer gets the slices of one chunk after the other, each whole and in order."""

    def __init__(self) -> None:
        self._chunk: LedgerRange | None = None
        self._next = 0
        self._ledger = 0

    def take(self, unit: LedgerUnit) -> LedgerRange:
        """Return the unit's chunk.

        Raises:
            StateError: the slice is not the one that has to come now.
        """
        chunk = chunk_of(unit)
        expected = (self._chunk, self._next, self._ledger) if self._chunk else (chunk, 0, chunk.first)
        if (chunk, unit.index, unit.first_ledger) != expected:
            message = (
                f"chunk {chunk}: slice {unit.index} from ledger {unit.first_ledger} came, expected slice "
                f"{expected[1]} from ledger {expected[2]} of chunk {expected[0]}"
            )
            raise StateError(message)
        self._chunk, self._next, self._ledger = chunk, unit.index + 1, unit.last_ledger + 1
        if unit.last:
            self._chunk = None
            if unit.last_ledger != chunk.last:
                message = f"chunk {chunk}: its last slice ends at ledger {unit.last_ledger}"
                raise StateError(message)
        return chunk

    def end(self) -> None:
        """Tell that nothing more comes.

        Raises:
            StateError: a chunk is not whole.
        """
        if self._chunk is not None:
            message = f"chunk {self._chunk}: the bundle ended before slice {self._next}; the chunk was dropped"
            self._chunk = None
            raise StateError(message)


@contextmanager
def named(chunk: LedgerRange) -> Iterator[None]:
    """Put the chunk's name before the message of an error; errors of the database and of the disk become ours."""
    place = f"chunk {chunk}: "
    try:
        yield
    except AuroraError as error:
        if error.args and not str(error.args[0]).startswith(place):
            error.args = (f"{place}{error.args[0]}", *error.args[1:])
        raise
    except (SQLAlchemyError, psycopg.Error) as error:
        reason = next(iter(str(getattr(error, "orig", None) or error).strip().splitlines()), type(error).__name__)
        message = f"{place}the database failed: {reason}"
        raise DatabaseError(message) from error
    except OSError as error:
        message = f"{place}{error}"
        raise AuroraError(message) from error
