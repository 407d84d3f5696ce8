"""Reading ledgers as they close: every tick asks the source for those after the last one read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
import sqlalchemy as sa
from apache_beam.coders import PickleCoder
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from sqlalchemy.exc import DBAPIError

from aurora_ingest import _kernel
from aurora_ingest.db import cursor
from aurora_ingest.db.engine import connect
from aurora_ingest.errors import DatabaseError, StateError
from aurora_ingest.ledger_backend.backend import LedgerBackend, RawLedger
from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.extract_changes import ledger_units
from aurora_ingest.transforms.ledger_feed import feed_of
from aurora_ingest.transforms.ledger_unit import CHUNK, TICK, LedgerUnit, Receipt
from aurora_ingest.transforms.prepare_ledgers import LedgerRules
from aurora_ingest.transforms.read_ledgers import LedgerReading, faults

LEDGERS_PER_TICK: Final = 256
BYTES_PER_TICK: Final = 16 << 20
LEDGERS_AHEAD: Final = 1024
"""Ledgers that may be read before the first of them is committed."""
NO_POSITION: Final = -1
"""Value of a tick that leaves it to the reader where to go on."""


@dataclass(frozen=True)
class ContinuousReading:
    """Where ledgers come from and what is decoded of them; picklable.

    Attributes:
        feed: name of the process's feed, unique among the sources that a process follows.
        backend: the source.
        db_url: the database whose cursor tells where to begin.
        rules: what is made of the ledgers.
        until: last ledger to read, or None.
    """

    feed: str
    backend: LedgerBackend
    db_url: str
    rules: LedgerRules
    until: int | None = None

    def decode(self, raws: Sequence[RawLedger]) -> list[LedgerUnit]:
        """Decode consecutive ledgers to one unit each, up to the first that is bad.

        Args:
            raws: at least one ledger.

        Returns:
            The units of the ledgers before the first bad one, or of all.

        Raises:
            StateError: the first ledger does not decode, or contradicts itself.
            NetworkMismatchError: it is of another network.
            UnsupportedProtocolError: it is of a newer protocol.
        """
        decoder = LedgerReading(self.backend, self.rules.network, self.rules.columns()).decoder()
        fault: Exception | None = None
        good = len(raws)
        for number, raw in enumerate(raws):
            fault = _pushed(decoder, raw)
            if fault is not None:
                good = number
                break
        decoded = {name: pa.record_batch(batch) for name, batch in decoder.take().items()}
        first = raws[0].sequence
        found = faults(decoded["ledgers"], self.rules.network)
        if found:
            good, fault = min(found) - first, found[min(found)]
        if good == 0 and fault is not None:
            raise fault
        receipt = Receipt(CHUNK, 0, last=True)
        last = decoded["ledgers"].column("ledger_sequence")[-1].as_py()
        unit = LedgerUnit(CHUNK, 0, True, first, last, {}, {}, {}, receipt, decoded=decoded)
        units = [each for each in ledger_units(unit) if each.last_ledger < first + good]
        for each in units:
            metrics.publish(metrics.LedgerReadFrom(each.last_ledger))
        return units


def _pushed(decoder: _kernel.LedgerDecoder, raw: RawLedger) -> Exception | None:
    """Decodes one more ledger; returns what is wrong with it."""
    if not raw.has_meta:
        return StateError(f"{raw.origin}: ledger {raw.sequence} comes without its changes; a state cannot follow it")
    try:
        decoder.push(raw.data)
    except ValueError as error:
        return StateError(f"{raw.origin}: ledger {raw.sequence} does not decode: {error}")
    return None


def tick_unit(position: int) -> LedgerUnit:
    """Return the unit that follows the ledgers of one tick, so that whoever collects them acts even without any."""
    receipt = Receipt(TICK, position, last=True)
    return LedgerUnit(TICK, position, True, position, position, {}, {}, {}, receipt, done=True)


@dataclass(frozen=True)
class _Place:
    """Last ledger read, and the cursor as it was seen then."""

    position: int
    cursor: int


class _ReadFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The reader; one key, so one place."""

    PLACE = ReadModifyWriteStateSpec("place", PickleCoder())

    def __init__(self, reading: ContinuousReading) -> None:
        self._reading = reading
        self._engine: sa.Engine | None = None

    def process(
        self,
        keyed: tuple[int, int],
        state: Any = beam.DoFn.StateParam(PLACE),  # noqa: B008  # Beam's way to declare state
    ) -> Iterator[LedgerUnit]:
        reading = self._reading
        place = next_place(state.read(), keyed[1], self._cursor())
        first = place.position + 1
        most = wanted(place, reading.until)
        raws = feed_of(reading.feed, reading.backend).take(first, most, BYTES_PER_TICK) if most > 0 else []
        if raws:
            units = reading.decode(raws)
            yield from units
            place = _Place(units[-1].last_ledger, place.cursor)
        state.write(place)
        yield tick_unit(place.position)

    def _cursor(self) -> int:
        if self._engine is None:
            self._engine = connect(self._reading.db_url)
        try:
            with self._engine.connect() as connection:
                last = cursor.read_last_ledger(connection)
        except DBAPIError as error:
            message = f"the cursor cannot be read: {error.orig}"
            raise DatabaseError(message) from error
        if last is None:
            message = "the database holds no state that ledgers could be applied to"
            raise DatabaseError(message)
        return last

    def teardown(self) -> None:
        if self._engine is not None:
            self._engine.dispose()


def next_place(former: _Place | None, hint: int, last_ledger: int) -> _Place:
    """Tell where to go on reading.

    Args:
        former: where the reader was, None at its beginning.
        hint: a ledger to go on after, or NO_POSITION.
        last_ledger: the committed cursor.

    Returns:
        The former place, or the cursor if that has moved back below what was seen (a rebuild, a restored backup), or
        at the beginning the hint, else the cursor.
    """
    if former is None:
        return _Place(last_ledger if hint == NO_POSITION else hint, last_ledger)
    if last_ledger < former.cursor:
        return _Place(last_ledger, last_ledger)
    return _Place(former.position, last_ledger)


def wanted(place: _Place, until: int | None) -> int:
    """Tell how many ledgers to read at a tick: none while too many are read and not committed by anybody.

    Args:
        place: where the reader is.
        until: last ledger to read, or None.
    """
    ahead = max(place.position - place.cursor, 0)
    most = min(LEDGERS_PER_TICK, LEDGERS_AHEAD - ahead)
    return max(most if until is None else min(most, until - place.position), 0)


class ReadLedgersContinuously(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Ticks → LedgerUnits of one ledger each, ascending, and after those of each tick a unit of kind TICK.

    Unbounded or bounded as the ticks are; no windows or watermarks. One constant key, so nothing is read in parallel;
    a thread reads ahead. The place is state: a restored job goes on where its state says, a new one at the committed
    cursor, and one whose cursor moved back starts there again, so ledgers may come twice and a committer has to drop
    what is committed. A tick never waits for a ledger. Fails on a hole, on ledgers of another network or protocol, and
    on ledgers that contradict themselves.
    """

    def __init__(self, reading: ContinuousReading) -> None:
        """Keep what is read."""
        super().__init__()
        self._reading = reading

    def expand(self, ticks: beam.PCollection[int]) -> beam.PCollection[LedgerUnit]:
        """Wire the steps."""
        return (
            ticks
            | "OneKey" >> beam.Map(_keyed).with_output_types(tuple[int, int])
            | "Read" >> beam.ParDo(_ReadFn(self._reading)).with_output_types(LedgerUnit)
        )


def _keyed(tick: int) -> tuple[int, int]:
    return 0, tick
