"""The state verifier: at checkpoints the own tables are compared with the archive's buckets, beside a node's work."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from aurora_ingest.db import builds, live, verifier
from aurora_ingest.db.state_difference import Difference, Rows, differences
from aurora_ingest.db.state_digest import TableDigest
from aurora_ingest.db.verifier_books import CANCELLED, FAILED, MISMATCH, SOUND
from aurora_ingest.errors import ArchiveFileMissingError, AuroraError, DatabaseError, HashMismatchError
from aurora_ingest.ledger.checkpoint import is_checkpoint
from aurora_ingest.pipelines.build_state import plan_state_build
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.build_plan import StateBuildPlan
from aurora_ingest.transforms.snapshot_rows import snapshot_rows

_LOG = logging.getLogger(__name__)
_MEMORY: Final = 768 << 20
"""Ceiling that the key ranges are cut for: the smallest, since a node works beside."""
_BUCKETS_SHOWN: Final = 16
"""Buckets of a table that are compared row by row; the first keys that differ are all that is told."""
_LOOK_SECONDS: Final = 1.0
_FAILURES_UNTIL_ERROR: Final = 3
_LEAVE_SECONDS: Final = 10.0
"""How long a node that stops waits for a verification to give up; an archive may not answer."""
_GRACE_SECONDS: Final = 5.0
"""How long a reader has to give up by itself when a state build begins."""
_SILENT_SECONDS: Final = 60.0
"""Silence after which a state build is nobody's any more."""


@dataclass(frozen=True)
class VerifierOptions:
    """How a state is verified.

    Attributes:
        build: network, archive, caches and work directory, as for a state build.
        node: who verifies.
        every: every so many checkpoints.
        patience_seconds: how long the archive may lag behind the ledger.
    """

    build: BuildStateOptions
    node: str
    every: int = 1
    patience_seconds: float = 300.0

    def is_due(self, ledger: int) -> bool:
        """Tells whether the state at a ledger is to be verified."""
        frequency = self.build.network.checkpoint_frequency
        return is_checkpoint(ledger, frequency) and (ledger + 1) // frequency % self.every == 0


@dataclass(frozen=True)
class Verification:
    """What came of one comparison.

    Attributes:
        checkpoint: ledger of state and archive.
        outcome: SOUND, MISMATCH, FAILED or CANCELLED.
        seconds: how long it took.
        entries: ledger entries that the archive has, by entry table.
        differences: first rows that differ, table by table.
        detail: what differs, or why nothing can be said.
    """

    checkpoint: int
    outcome: str
    seconds: float
    entries: Mapping[str, int] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()
    detail: str = ""


class _CancelledError(Exception):
    """The comparison gives way: the node stops, or a state build needs the tables."""


def verify(
    engine: sa.Engine, state: verifier.Pinned, options: VerifierOptions, is_over: Callable[[], bool] = lambda: False
) -> Verification:
    """Compares a pinned state with the archive, notes the outcome, and marks the state if it is wrong.

    Memory is flat in the number of rows. The state's tables are read first, while the archive may still be late.

    Args:
        engine: the database.
        state: the state.
        options: how to verify.
        is_over: asked often; True gives up.

    Returns:
        The outcome; trouble with archive or database is one too.
    """
    began = time.monotonic()
    watch = _Watch(engine, state, is_over)
    try:
        with watch:
            done = _compared(state, options, watch)
    except (AuroraError, SQLAlchemyError, _CancelledError) as error:
        done = Verification(state.checkpoint, FAILED, 0.0, detail=_line(error))
        if watch.reason is not None:
            done = dataclasses.replace(done, outcome=CANCELLED, detail=watch.reason)
    done = dataclasses.replace(done, seconds=time.monotonic() - began)
    try:
        is_marked = verifier.conclude(
            engine, state, options.node, seconds=done.seconds, outcome=done.outcome, detail=done.detail
        )
    except (DatabaseError, SQLAlchemyError) as error:
        done = dataclasses.replace(done, outcome=FAILED, detail=f"{done.detail}; not noted: {_line(error)}")
        is_marked = False
    _tell(done, is_marked=is_marked)
    metrics.publish(metrics.StateVerified(done.checkpoint, done.outcome, done.seconds, done.entries))
    return done


class _Watch:
    """Keeps the pinned transaction alive from a thread of its own, and has it end when a state build needs the tables.

    Called, it tells the reader to give up by an exception. A reader that does not come to ask, because an archive
    keeps it waiting, loses its transaction.
    """

    def __init__(self, engine: sa.Engine, state: verifier.Pinned, is_over: Callable[[], bool]) -> None:
        self.reason: str | None = None
        self._engine = engine
        self._state = state
        self._is_over = is_over
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state-verifier-watch", daemon=True)

    def __enter__(self) -> _Watch:  # noqa: PYI034 - typing has Self only from Python 3.11 on
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def __call__(self) -> None:
        if self._is_over():
            self.reason = "the node has other things to do"
        if self.reason is not None:
            raise _CancelledError(self.reason)

    def _run(self) -> None:
        try:
            while not self._ended.wait(_LOOK_SECONDS):
                self._look()
                if self.reason is not None:
                    if not self._ended.wait(_GRACE_SECONDS):
                        verifier.let_go(self._engine, self._state)
                    return
                verifier.keep(self._state)
        except (psycopg.Error, SQLAlchemyError) as error:  # the reader finds out by itself
            _LOG.info("State verification is not watched any more", extra={"reason": _line(error)})

    def _look(self) -> None:
        with self._engine.connect() as connection:
            others = builds.unfinished_builds(connection)
        if any(each.seconds_silent < _SILENT_SECONDS for each in others):
            self.reason = "a state build is under way"


def _compared(state: verifier.Pinned, options: VerifierOptions, go_on: Callable[[], None]) -> Verification:
    plan = None
    with tempfile.TemporaryDirectory(prefix="verify-", dir=_folder(options.build.work_dir)) as work_dir:
        request = dataclasses.replace(
            options.build, checkpoint=state.checkpoint, tables=None, spread=False, work_dir=work_dir
        )
        tables = tuple(verifier.TABLES)
        found = {table: TableDigest(table) for table in tables}
        for table in tables:
            for batch in verifier.rows(state, table):
                go_on()
                found[table].add(batch)
        plan = _plan(request, options.patience_seconds, go_on)
        if state.ledger_hash is not None and state.ledger_hash != plan.ledger_hash:
            raise HashMismatchError(
                f"ledger {state.checkpoint}: the archive is of another chain, its header's hash is {plan.ledger_hash}, "
                f"expected {state.ledger_hash}",
                expected=state.ledger_hash,
                computed=plan.ledger_hash,
            )
        entries: Counter[str] = Counter()
        expected = {table: TableDigest(table) for table in tables}
        for table, batch in _expected(plan, go_on, entries):
            expected[table].add(batch)
        buckets = {table: expected[table].differing(found[table]) for table in tables}
        wrong = {table: some for table, some in buckets.items() if len(some)}
        if not wrong:
            return Verification(state.checkpoint, SOUND, 0.0, entries)
        ours, theirs = (Rows({table: some[:_BUCKETS_SHOWN] for table, some in wrong.items()}) for _ in range(2))
        for table in wrong:
            for batch in verifier.rows(state, table):
                go_on()
                ours.add(table, batch)
        for table, batch in _expected(plan, go_on, Counter()):
            theirs.add(table, batch)
        shown = tuple(each for table in wrong for each in differences(table, theirs, ours))
    detail = ", ".join(f"{table} ({expected[table].rows} rows expected, {found[table].rows} found)" for table in wrong)
    return Verification(state.checkpoint, MISMATCH, 0.0, entries, shown, detail)


def _expected(
    plan: StateBuildPlan, go_on: Callable[[], None], entries: Counter[str]
) -> Iterator[tuple[str, pa.RecordBatch]]:
    for unit in snapshot_rows(plan):
        go_on()
        entries.update(unit.entries)
        yield from unit.row_tables.items()


def _plan(request: BuildStateOptions, patience: float, go_on: Callable[[], None]) -> StateBuildPlan:
    """Proves the checkpoint from the archive, once the archive has it."""
    until = time.monotonic() + patience
    while True:
        go_on()
        try:
            return plan_state_build(request, _MEMORY)
        except ArchiveFileMissingError:
            if time.monotonic() >= until:
                raise
        time.sleep(min(_LOOK_SECONDS, max(until - time.monotonic(), 0.0)))


def _folder(work_dir: str | None) -> str | None:
    """Returns a local folder for spilled rows, None for the system's own."""
    if work_dir is None or "://" in work_dir:
        return None
    Path(work_dir).mkdir(parents=True, exist_ok=True)
    return work_dir


def _tell(done: Verification, *, is_marked: bool) -> None:
    facts = {"checkpoint": done.checkpoint, "outcome": done.outcome, "seconds": round(done.seconds, 2)}
    if done.outcome == SOUND:
        _LOG.info("State verified", extra={**facts, "entries": sum(done.entries.values())})
    elif done.outcome != MISMATCH:
        _LOG.warning("State not verified", extra={**facts, "reason": done.detail})
    else:
        then = "it will be built again" if is_marked else "it has been replaced meanwhile"
        _LOG.error("State is not the archive's", extra={**facts, "tables": done.detail, "then": then})
        for each in done.differences:
            _LOG.error("State differs: %s", each, extra={"checkpoint": done.checkpoint, "table": each.table})


class StateVerifier:
    """Verifies in the background of a node: begins when a due checkpoint is committed, one at a time over all nodes."""

    def __init__(self, engine: sa.Engine, options: VerifierOptions) -> None:
        """Keeps the database and how to verify."""
        self._engine = engine
        self._options = options
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._subscription = ExitStack()

    def __enter__(self) -> StateVerifier:  # noqa: PYI034 - typing has Self only from Python 3.11 on
        self._subscription.enter_context(metrics.subscribe(self._on_event))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._subscription.close()
        self._over.set()
        if self._thread is not None:
            self._thread.join(_LEAVE_SECONDS)

    def _on_event(self, event: metrics.ProgressEvent) -> None:
        """Pins the state in the thread that has committed it, before that one goes on to the next ledger."""
        if not isinstance(event, metrics.LedgerCommitted) or not self._options.is_due(event.sequence):
            return
        if self._over.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        try:
            with ExitStack() as stack:
                if not stack.enter_context(live.alone(self._engine, live.VERIFIER)):
                    return
                state = stack.enter_context(verifier.pinned(self._engine, lambda last: last == event.sequence))
                if state is None or state.is_verified:
                    return
                facts = {"checkpoint": event.sequence, "node": self._options.node}
                _LOG.info("State verification begins", extra=facts)
                arguments = (state, stack.pop_all())
                self._thread = threading.Thread(target=self._run, args=arguments, name="state-verifier", daemon=True)
                self._thread.start()
        except (DatabaseError, SQLAlchemyError) as error:
            _LOG.warning("State not verified", extra={"checkpoint": event.sequence, "reason": _line(error)})

    def _run(self, state: verifier.Pinned, stack: ExitStack) -> None:
        outcome = FAILED
        try:
            with stack:
                outcome = verify(self._engine, state, self._options, self._over.is_set).outcome
        except SQLAlchemyError as error:  # the locks went with the session
            _LOG.info("State verifier lost its session", extra={"reason": _line(error)})
        except Exception:  # noqa: BLE001 - a fault of the verifier must not pass in silence, nor end the node
            _LOG.exception("State verifier broke down", extra={"checkpoint": state.checkpoint})
        self._failures = self._failures + 1 if outcome == FAILED else 0
        if self._failures >= _FAILURES_UNTIL_ERROR:
            _LOG.error("State could not be verified", extra={"times_in_a_row": self._failures})


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
