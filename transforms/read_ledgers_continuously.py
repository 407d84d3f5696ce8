"""Reading ledgers as they close: every tick asks the source for those after the last one read."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
import sqlalchemy as sa
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from sqlalchemy.exc import DBAPIError

from aurora_ingest import _kernel
from aurora_ingest.db import cursor
from aurora_ingest.db.engine import connect
from aurora_ingest.db.lost_state import put_ledger_aside
from aurora_ingest.db.quarantine import LEDGER, Quarantined
from aurora_ingest.errors import BackendError, DatabaseError, StateError
from aurora_ingest.ledger_backend.backend import LedgerBackend, RawLedger
from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.beam_counters import count_in_beam, count_look
from aurora_ingest.transforms.extract_changes import ledger_units
from aurora_ingest.transforms.ledger_counts import REFUSED_TRANSACTIONS
from aurora_ingest.transforms.ledger_feed import feed_of
from aurora_ingest.transforms.ledger_unit import CHUNK, TICK, LedgerUnit, Receipt
from aurora_ingest.transforms.prepare_ledgers import LedgerRules
from aurora_ingest.transforms.read_ledgers import LedgerReading, faults, refused_transactions_batch
from aurora_ingest.transforms.reading_place import (
    KeptPlace,
    KeptPlaceCoder,
    Place,
    next_place,
    require_same_maker,
    wanted,
)
from aurora_ingest.transforms.stop_requests import is_asked_to_stop

BYTES_PER_TICK: Final = 16 << 20
_LONGEST_PAUSE: Final = 30.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class OnEngine:
    """How a graph behaves that runs for ever: trouble that may pass is waited for, as a failed bundle costs a restart.

    Attributes:
        tick_seconds: time between two ticks; those that have queued up are left out, so that a checkpoint gets through.
    """

    tick_seconds: float


@dataclass(frozen=True)
class ContinuousReading:
    """Where ledgers come from and what is decoded of them; picklable.

    Attributes:
        feed: name of the process's feed, unique among the sources that a process follows.
        backend: the source.
        db_url: the database whose cursor tells where to begin.
        rules: what is made of the ledgers.
        until: last ledger to read, or None.
        keep_going: what does not decode goes into quarantine instead of stopping the node.
        made_by: version and processors of the graph: it goes on with a place only if it has kept it itself.
        engine: how ticks are taken on an engine; None where each tick is a run of the graph that may fail.
    """

    feed: str
    backend: LedgerBackend
    db_url: str
    rules: LedgerRules
    until: int | None = None
    keep_going: bool = False
    made_by: str = ""
    engine: OnEngine | None = None

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
            fault = _pushed(decoder, raw, tolerant=self.keep_going)
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
        refused = [each for each in decoder.take_refused() if each[0] < first + good]
        if refused:
            by_sequence = {raw.sequence: raw for raw in raws}
            decoded[REFUSED_TRANSACTIONS] = refused_transactions_batch(refused, by_sequence)
        receipt = Receipt(CHUNK, 0, last=True)
        last = decoded["ledgers"].column("ledger_sequence")[-1].as_py()
        unit = LedgerUnit(CHUNK, 0, True, first, last, {}, {}, {}, receipt, decoded=decoded)
        units = [each for each in ledger_units(unit) if each.last_ledger < first + good]
        for each in units:
            metrics.publish(metrics.LedgerReadFrom(each.last_ledger))
        return units


def _pushed(decoder: _kernel.LedgerDecoder, raw: RawLedger, *, tolerant: bool) -> Exception | None:
    """Decodes one more ledger; returns what is wrong with it."""
    if not raw.has_meta:
        return StateError(f"{raw.origin}: ledger {raw.sequence} comes without its changes; a state cannot follow it")
    try:
        decoder.push(raw.data, tolerant=tolerant)
    except ValueError as error:
        return StateError(f"{raw.origin}: ledger {raw.sequence} does not decode: {error}")
    return None


def tick_unit(position: int) -> LedgerUnit:
    """Return the unit that follows the ledgers of one tick, so that whoever collects them acts even without any."""
    receipt = Receipt(TICK, position, last=True)
    return LedgerUnit(TICK, position, True, position, position, {}, {}, {}, receipt, done=True)


class _ReadFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The reader; one key, so one place."""

    PLACE = ReadModifyWriteStateSpec("place", KeptPlaceCoder())

    def __init__(self, reading: ContinuousReading) -> None:
        self._reading = reading
        self._engine: sa.Engine | None = None
        self._next_look = 0.0
        self._next_reading = 0.0
        self._failed_in_a_row = 0

    def setup(self) -> None:
        if self._reading.engine is not None:
            count_in_beam()

    def process(
        self,
        keyed: tuple[int, int],
        state: Any = beam.DoFn.StateParam(PLACE),  # noqa: B008  # Beam's way to declare state
    ) -> Iterator[LedgerUnit]:
        reading = self._reading
        if time.monotonic() < self._next_look:
            return
        kept = state.read()
        if kept is not None:
            require_same_maker(kept, reading.made_by)
        try:
            last = self._cursor()
        except DatabaseError as error:
            self._next_look = self._pause(error)
            return
        place = next_place(None if kept is None else kept.place, keyed[1], last, time.time())
        try:
            place, units = self._read(place)
        except BackendError as error:
            self._next_reading = self._pause(error)
            units = []
        for unit in units:
            if is_asked_to_stop(reading.feed):  # the round ends here, and its place with it
                return
            yield unit
        state.write(KeptPlace(place, reading.made_by))
        yield tick_unit(place.position)
        if reading.engine is not None:
            count_look()
            self._next_look = time.monotonic() + reading.engine.tick_seconds / 2

    def _read(self, place: Place) -> tuple[Place, list[LedgerUnit]]:
        reading = self._reading
        most = wanted(place, reading.until)
        if most == 0 or time.monotonic() < self._next_reading:
            return place, []
        raws = feed_of(reading.feed, reading.backend).take(place.position + 1, most, BYTES_PER_TICK)
        self._failed_in_a_row = 0
        units: list[LedgerUnit] = []
        while raws and not units:
            try:
                units = reading.decode(raws)
            except StateError as error:
                if not reading.keep_going or not raws[0].has_meta:
                    raise
                self._put_aside(raws[0], str(error))
                if place.cursor < raws[0].sequence:
                    break
                raws = raws[1:]  # the database has gone past it by a state of a later checkpoint
        if not units:
            return place, []
        last = units[-1].last_ledger
        return place.read_to(last, sum(len(raw.data) for raw in raws if raw.sequence <= last)), units

    def _put_aside(self, raw: RawLedger, reason: str) -> None:
        """Puts a ledger that cannot be decoded into quarantine; the node waits before it for a state behind it."""
        rules = self._reading.rules
        record = Quarantined(raw.sequence, "", LEDGER, 0, raw.data, raw.has_meta, reason)
        held = put_ledger_aside(self._opened(), record, rules.history_tables, rules.network.passphrase)
        if held:
            _LOG.error("Ledger is in quarantine", extra={"ledger": raw.sequence, "reason": reason})
        metrics.publish(metrics.CursorHeld(0.0, 0, held))

    def _opened(self) -> sa.Engine:
        if self._engine is None:
            self._engine = connect(self._reading.db_url)
        return self._engine

    def _pause(self, error: BackendError | DatabaseError) -> float:
        """Tells when to try again after trouble that may pass: later each time.

        Raises:
            BackendError: each tick is a run of the graph; whoever runs it is the one to wait.
            DatabaseError: likewise.
        """
        if self._reading.engine is None:
            raise error
        self._failed_in_a_row += 1
        pause = min(2.0 ** min(self._failed_in_a_row - 1, 10), _LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311
        _LOG.warning("Reader waits: %s", error, extra={"seconds": round(pause, 1)})
        return time.monotonic() + pause

    def _cursor(self) -> int:
        try:
            with self._opened().connect() as connection:
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
