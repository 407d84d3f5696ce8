"""Leading: the committer of a node, which writes each ledger or learns that another node has."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam
import sqlalchemy as sa
from apache_beam.coders import Coder, registry
from apache_beam.transforms.userstate import BagStateSpec

from aurora_ingest.db.engine import connect
from aurora_ingest.db.lead import CommitResult, Committer, Outcome, PreparedLedger
from aurora_ingest.errors import DatabaseError, MigrationError
from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.beam_counters import count_in_beam
from aurora_ingest.transforms.ledger_unit import TICK, LedgerUnit, LedgerUnitCoder
from aurora_ingest.transforms.prepare_ledgers import LedgerRules, prepared_ledger
from aurora_ingest.transforms.presence import Presence
from aurora_ingest.transforms.stop_requests import is_asked_to_stop

GROUP_LEDGERS: Final = 64
GROUP_BYTES: Final = 8 << 20
"""Bytes of LedgerCloseMeta of a group; rows take about four times that."""
_RETRY_SECONDS: Final = 0.1
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Leading:
    """How a node commits; picklable.

    Attributes:
        db_url: the database.
        node: name of this node.
        rules: what is made of every ledger.
        deadline_seconds: how long any node may hold the cursor.
        patience_seconds: how long a refused lock is tried again within one tick; 0 leaves it to the next tick, as an
            engine needs that must not be held up.
        keep_going: rows that the database refuses go into quarantine instead of stopping the node.
        feed: name of what is followed, under which requests to stop come.
        pause_every: a group ends before each multiple of so many ledgers, so that somebody may look at that very
            state; 0 for none.
        on_engine: the graph runs for ever on workers that nobody supervises from near: they announce the node
            themselves, and trouble of the database is waited for, as a failed bundle costs a restart.
    """

    db_url: str
    node: str
    rules: LedgerRules
    deadline_seconds: float = 30.0
    patience_seconds: float = 0.0
    keep_going: bool = False
    feed: str = ""
    pause_every: int = 0
    on_engine: bool = False


@dataclass(frozen=True)
class CommittedLedger:
    """A ledger that is in the database.

    Attributes:
        sequence: ledger sequence.
        leader: this node wrote it.
        unit: the ledger with its rows.
    """

    sequence: int
    leader: bool
    unit: LedgerUnit


class CommittedLedgerCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """One byte that tells who wrote it, then the unit."""

    def encode(self, value: CommittedLedger) -> bytes:
        """Encode one ledger."""
        return (b"\1" if value.leader else b"\0") + LedgerUnitCoder().encode(value.unit)

    def decode(self, encoded: bytes) -> CommittedLedger:
        """Decode one ledger."""
        unit = LedgerUnitCoder().decode(encoded[1:])
        return CommittedLedger(unit.last_ledger, encoded[0] == 1, unit)

    def estimate_size(self, value: CommittedLedger) -> int:
        """Tell about the size in bytes without encoding."""
        return 1 + LedgerUnitCoder().estimate_size(value.unit)

    def is_deterministic(self) -> bool:
        """Equal ledgers have equal bytes."""
        return True

    def to_type_hint(self) -> type:
        """Return the element type."""
        return CommittedLedger


registry.register_coder(CommittedLedger, CommittedLedgerCoder)


def groups(units: Sequence[LedgerUnit], pause_every: int = 0) -> Iterator[list[LedgerUnit]]:
    """Cut sorted ledgers into groups that are committed together: consecutive, not too many, not too large.

    Args:
        units: the ledgers.
        pause_every: a group ends before each multiple of so many ledgers; 0 for none.
    """
    group: list[LedgerUnit] = []
    size = 0
    for unit in units:
        # The bytes that rows take are told by `nbytes` in a millisecond for each ledger.
        grown = unit.decoded["ledgers"].column("raw_bytes")[0].as_py()
        ends = len(group) == GROUP_LEDGERS or size + grown > GROUP_BYTES
        ends = ends or (pause_every > 0 and unit.last_ledger % pause_every == 0)
        if group and (ends or unit.last_ledger != group[-1].last_ledger + 1):
            yield group
            group, size = [], 0
        group.append(unit)
        size += grown
    if group:
        yield group


class _LeadFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The committer; one key, so one at a time."""

    BUFFER = BagStateSpec("buffer", LedgerUnitCoder())

    def __init__(self, leading: Leading) -> None:
        self._leading = leading
        self._engine: sa.Engine | None = None
        self._committer: Committer | None = None
        self._presence: Presence | None = None

    def setup(self) -> None:
        if self._leading.on_engine:
            count_in_beam()

    def process(
        self,
        keyed: tuple[int, LedgerUnit],
        buffer: Any = beam.DoFn.StateParam(BUFFER),  # noqa: B008  # Beam's way to declare state
    ) -> Iterator[CommittedLedger]:
        _, unit = keyed
        if unit.kind != TICK:
            buffer.add(unit)
            return
        if self._leading.on_engine and not self._is_announced():
            return
        # A replayed bundle may have put a ledger in twice; both are the same.
        waiting = {each.last_ledger: each for each in buffer.read()}
        buffer.clear()
        for group in groups([waiting[ledger] for ledger in sorted(waiting)], self._leading.pause_every):
            if is_asked_to_stop(self._leading.feed):
                break
            done = yield from self._committed(group)
            for each in group[:done]:
                del waiting[each.last_ledger]
            if done < len(group):
                break
        for ledger in sorted(waiting):
            buffer.add(waiting[ledger])

    def _committed(self, group: list[LedgerUnit]) -> Generator[CommittedLedger, None, int]:
        """Commits a group as far as it goes; yields what is committed and returns how many ledgers that is."""
        rules = self._leading.rules
        left = [(unit, prepared_ledger(unit, rules)) for unit in group]
        done = 0
        while left:
            result = self._commit([ledger for _, ledger in left])
            if result.outcome not in {Outcome.LED, Outcome.FOLLOWED} or result.last_ledger is None:
                break
            if self._presence is not None:
                self._presence.moved(result.last_ledger, result.committed)
            while left and left[0][0].last_ledger <= result.last_ledger:
                unit, _ = left.pop(0)
                done += 1
                leads = unit.last_ledger in result.committed
                metrics.publish(metrics.LedgerCommitted.of(unit, leader=leads))
                yield CommittedLedger(unit.last_ledger, leads, unit)
        return done

    def _commit(self, group: list[PreparedLedger]) -> CommitResult:
        """Commits, and tries a refused lock again as long as this node has patience."""
        if self._committer is None:
            leading = self._leading
            self._committer = Committer(
                self._opened(),
                node=leading.node,
                network_passphrase=leading.rules.network.passphrase,
                deadline_seconds=leading.deadline_seconds,
                keep_going=leading.keep_going,
            )
        until = time.monotonic() + self._leading.patience_seconds
        while True:
            result = self._decided(self._committer, group)
            metrics.publish(metrics.CursorHeld(result.lock_seconds, result.ended_holders, result.quarantined))
            if result.outcome is not Outcome.REFUSED or time.monotonic() >= until:
                return result
            time.sleep(_RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    def _decided(self, committer: Committer, group: list[PreparedLedger]) -> CommitResult:
        """Commits; on an engine what the database cannot do now is left to the next tick."""
        try:
            return committer.commit(group)
        except MigrationError:
            raise
        except DatabaseError as error:
            if not self._leading.on_engine:
                raise
            _LOG.warning("Committer waits: %s", error)
            return CommitResult(Outcome.REFUSED, None)

    def _is_announced(self) -> bool:
        """Announces the node if that is due; tells whether it may write."""
        if self._presence is None:
            self._presence = Presence(self._opened(), self._leading.node)
        return self._presence.keep()

    def _opened(self) -> sa.Engine:
        if self._engine is None:
            self._engine = connect(self._leading.db_url)
        return self._engine

    def teardown(self) -> None:
        if self._presence is not None:
            self._presence.end()
        if self._engine is not None:
            self._engine.dispose()


class LeadLedgers(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """LedgerUnits of one ledger each, processed, and TICK units → CommittedLedgers, ascending.

    Unbounded or bounded, no windows. One constant key: ledgers are put in order in a gap buffer and committed when a
    tick comes, in groups; the database's cursor decides whether this node writes a ledger or follows (house rule
    “Leading”). What could not be decided stays in the buffer for the next tick. Nothing is emitted before it is
    committed; a retried bundle emits ledgers again, as followed ones. Fails on a ledger that contradicts the state or
    is not chained to it, on another network, and on a database that a newer version has taken over.
    """

    def __init__(self, leading: Leading) -> None:
        """Keep how to commit."""
        super().__init__()
        self._leading = leading

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[CommittedLedger]:
        """Wire the steps."""
        return (
            units
            | "OneKey" >> beam.Map(_keyed).with_output_types(tuple[int, LedgerUnit])
            | "Commit" >> beam.ParDo(_LeadFn(self._leading)).with_output_types(CommittedLedger)
        )


def _keyed(unit: LedgerUnit) -> tuple[int, LedgerUnit]:
    return 0, unit
