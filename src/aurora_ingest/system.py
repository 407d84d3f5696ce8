"""The system: one node of many, from whatever it finds at its start to following the network, by explicit states."""

from __future__ import annotations

import dataclasses
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aurora_ingest.db import builds, found_state, live, lost_state, nodes, schema
from aurora_ingest.db.engine import connect
from aurora_ingest.db.found_state import Found, look
from aurora_ingest.errors import (
    ArchiveError,
    ArchiveStateError,
    BackendError,
    DatabaseError,
    FencedError,
    MigrationError,
    PublishError,
    RunnerError,
    StateError,
    UnfinishedBuildError,
)
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.pipelines import build_state
from aurora_ingest.pipelines.checkpoint_choice import checkpoint_to_build
from aurora_ingest.pipelines.follow import FollowPlan, build_follow, place_to_go_on
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.runners import launch
from aurora_ingest.runners.local import one_tick
from aurora_ingest.state_verifier import StateVerifier, VerifierOptions
from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.ledger_feed import close_feed, feed_of
from aurora_ingest.transforms.order_book_memory import forget, kept_if_whole
from aurora_ingest.transforms.stop_requests import may_be_stopped

_LOG = logging.getLogger(__name__)
_LONGEST_PAUSE: Final = 30.0
_MOST_RUNNER_FAILURES: Final = 10
"""Failures of the engine itself, one after another, after which it is not tried again."""
_UNWELL_AFTER: Final = 3
"""Failures one after another from which on a node says that it is not well."""


class SystemState(Enum):
    """What a node is doing; no database transaction is open when it goes from one to another."""

    START = "start"
    BUILD = "build"
    WAIT_FOR_BUILDER = "wait for builder"
    WAIT_FOR_CHECKPOINT = "wait for checkpoint"
    RESUME = "resume"
    STOP = "stop"


@dataclass(frozen=True)
class SystemOptions:
    """What a node is asked to do.

    Attributes:
        follow: what it follows, and as whom.
        archive_urls: mirrors of the history archive that a state is built from; empty if none may be built.
        build: what is left of the request for a state build: caches, work directory, trusted ledger.
        poll_interval: seconds between two looks for a ledger, a builder or a checkpoint.
        takeover_after: seconds without a sign of life after which a builder counts as gone.
        verify_every: checkpoints from one comparison of the state with the archive to the next; 0 for none.
    """

    follow: FollowPlan
    archive_urls: tuple[str, ...] = ()
    build: BuildStateOptions | None = None
    poll_interval: float = 1.0
    takeover_after: float = 30.0
    verify_every: int = 0


@dataclass
class SystemCounts:
    """What a node has gone through; for tests, logs and metrics.

    Attributes:
        transitions: how often it went into each state.
        failures: how often it failed and began again.
        position: last ledger that it has seen committed.
        led: how many ledgers it wrote.
        last_led: the last of them.
    """

    transitions: Counter[SystemState] = field(default_factory=Counter)
    failures: int = 0
    position: int | None = None
    led: int = 0
    last_led: int | None = None


class System:
    """One node; `run` returns when it was stopped, or its last ledger is in the database."""

    def __init__(self, options: SystemOptions, engine: launch.Engine, stop: threading.Event | None = None) -> None:
        """Keeps what to do.

        Args:
            options: what to do.
            engine: where graphs run.
            stop: asks the node to finish its ledger and stop.
        """
        self._options = options
        verifies = options.build is not None and bool(options.archive_urls)
        self._plan = dataclasses.replace(options.follow, verify_every=options.verify_every if verifies else 0)
        self._engine = engine
        self._stop = stop or threading.Event()
        self._state = SystemState.START
        self._seen_cursor: int | None = None
        self._failed_in_a_row = 0
        self._database: sa.Engine | None = None
        self.counts = SystemCounts()

    def run(self) -> None:
        """Goes through the states until STOP.

        Raises:
            AuroraError: what cannot pass by waiting: another network or chain, a newer version, a ledger that
                contradicts the state, a protocol that is not known.
        """
        steps: dict[SystemState, Callable[[], SystemState]] = {
            SystemState.START: self._start,
            SystemState.BUILD: self._build,
            SystemState.WAIT_FOR_BUILDER: self._wait_for_builder,
            SystemState.WAIT_FOR_CHECKPOINT: self._wait_for_checkpoint,
            SystemState.RESUME: self._resume,
        }
        self._enter(SystemState.START)
        try:
            while self._state is not SystemState.STOP:
                failures = self.counts.failures
                try:
                    following = steps[self._state]()
                except (ArchiveError, BackendError, DatabaseError, RunnerError, DBAPIError) as error:
                    following = self._begin_again(error)
                failed = self.counts.failures > failures
                self._enter(SystemState.STOP if self._stop.is_set() else following, failed=failed)
            self._leave()
        finally:
            close_feed(self._plan.feed)
            forget(self._plan.feed)
            if self._database is not None:
                self._database.dispose()

    def _leave(self) -> None:
        """Takes the node out of the books; a database that is not there keeps it as one that has gone silent."""
        if self._database is not None:
            with suppress(DBAPIError):
                nodes.leave(self._database, self._plan.node)

    def _begin_again(self, error: Exception) -> SystemState:
        """Waits a while after trouble that may pass: longer each time, until a ledger is committed.

        Raises:
            AuroraError: the trouble will not pass.
        """
        is_lost = isinstance(error, BackendError) and not self._plan.backend.repeatable
        if is_lost or isinstance(error, MigrationError):
            raise error
        self.counts.failures += 1
        self._failed_in_a_row += 1
        if isinstance(error, RunnerError) and self._failed_in_a_row > _MOST_RUNNER_FAILURES:
            raise error
        longest = min(self._options.poll_interval * 2 ** min(self._failed_in_a_row - 1, 10), _LONGEST_PAUSE)
        pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        _LOG.warning("Node begins again", extra={"error": _line(error), "seconds": round(pause, 1)})
        self._stop.wait(pause)
        return SystemState.START

    def _enter(self, state: SystemState, *, failed: bool = False) -> None:
        if state is not self._state or state is SystemState.START:
            _LOG.info("Node state", extra={"node": self._plan.node, "from": self._state.value, "to": state.value})
        self.counts.transitions[state] += 1
        metrics.publish(metrics.NodeTransition(self._state.value, state.value, failed))
        self._state = state

    def _open(self) -> sa.Engine:
        if self._database is None:
            self._database = connect(self._plan.db_url)
        return self._database

    @property
    def newest_read(self) -> int | None:
        """Last ledger that was read ahead of its commit, None when there is none."""
        return feed_of(self._plan.feed, self._plan.backend).newest

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Tells whether the node is well, and the facts: its state, place, and failures since its last ledger."""
        facts = {
            "node": self._plan.node,
            "state": self._state.value,
            "position": self.counts.position,
            "last_led": self.counts.last_led,
            "failures_in_a_row": self._failed_in_a_row,
        }
        return self._failed_in_a_row < _UNWELL_AFTER, facts

    # --- States -------------------------------------------------------------------------------------------------------
    def _start(self) -> SystemState:
        database = self._open()
        schema.require(database)
        found, last = look(database, self._plan.network.passphrase)
        _LOG.info("Found in the database", extra={"found": found.value, "last_ledger": last})
        if found is not Found.STATE:
            return SystemState.BUILD
        found_state.require_tables(database, self._plan.rules.state_tables)
        nodes.agree_on_history(database, self._plan.node, self._plan.history_tables)
        return SystemState.RESUME

    def _build(self) -> SystemState:
        database, options = self._open(), self._options
        if options.build is None or not options.archive_urls:
            raise StateError(
                "the database needs a state and none may be built: give --history-archive-url, or run build-state"
            )
        if any(each.seconds_silent < options.takeover_after for each in _unfinished(database)):
            return SystemState.WAIT_FOR_BUILDER
        try:
            checkpoint = self._checkpoint_to_build(database, options.build)
        except ArchiveStateError as error:
            _LOG.info("Archive has no checkpoint yet", extra={"reason": _line(error)})
            return SystemState.WAIT_FOR_CHECKPOINT
        request = dataclasses.replace(options.build, checkpoint=checkpoint, resume=True)
        plan = build_state.plan_state_build(dataclasses.replace(request, takeover_after=options.takeover_after))
        for unfinished in _unfinished(database):
            if unfinished.seconds_silent < options.takeover_after:
                return SystemState.WAIT_FOR_BUILDER
            if unfinished.build_id != plan.build_id:
                builds.abandon_build(database, unfinished.build_id)
        try:
            plan = build_state.open_sinks(plan)
            _LOG.info("State build begins", extra={"checkpoint": checkpoint, "build": plan.build_id[:12]})
            launch.run(lambda pipeline: build_state.build_state(pipeline, plan), self._engine)
        except (UnfinishedBuildError, FencedError, PublishError) as error:
            _LOG.info("State build is another node's", extra={"reason": _line(error)})
            return SystemState.WAIT_FOR_BUILDER
        return SystemState.START

    def _checkpoint_to_build(self, database: sa.Engine, build: BuildStateOptions) -> int:
        """The checkpoint of a build that was left alone, or the one to begin with; see `checkpoint_to_build`."""
        with database.connect() as connection:
            lost = lost_state.lost_at(connection)
        left = [each.checkpoint for each in _unfinished(database) if lost is None or each.checkpoint >= lost]
        if left:
            return left[0]
        archive = HistoryArchive(self._options.archive_urls, self._plan.network, cache_dir=build.cache_dir)
        return checkpoint_to_build(archive, self._plan.network.checkpoint_frequency, self._plan.until, lost)

    def _wait_for_builder(self) -> SystemState:
        """Waits until a state is there or the builder has gone silent."""
        database = self._open()
        others = _unfinished(database)
        for each in others:
            facts = {"build": each.build_id[:12], "units": each.units, "seconds_silent": round(each.seconds_silent, 1)}
            _LOG.info("Waiting for another node's state build", extra=facts)
        self._stop.wait(self._options.poll_interval)
        found, _ = look(database, self._plan.network.passphrase)
        if found is Found.STATE:
            return SystemState.START
        alive = any(each.seconds_silent < self._options.takeover_after for each in others)
        return SystemState.WAIT_FOR_BUILDER if alive else SystemState.BUILD

    def _wait_for_checkpoint(self) -> SystemState:
        self._stop.wait(self._options.poll_interval)
        return SystemState.BUILD

    def _resume(self) -> SystemState:
        """Follows until something else has to be done."""
        database = self._open()
        feed = feed_of(self._plan.feed, self._plan.backend)
        with live.following(database) as announced, metrics.subscribe(self._on_event), self._verifying(database):
            position = self._first_position(database)
            noted = 0.0
            while not self._stop.is_set():
                found, last = look(database, self._plan.network.passphrase)
                if found is not Found.STATE or last is None:
                    return SystemState.START
                if self._seen_cursor is not None and last < self._seen_cursor:
                    _LOG.warning("Cursor moved back", extra={"last_ledger": last, "before": self._seen_cursor})
                    position = last
                    forget(self._plan.feed)
                self._seen_cursor = last
                self.counts.position = position
                if self._plan.until is not None and position >= self._plan.until:
                    return SystemState.STOP
                if time.monotonic() - noted >= 1.0:
                    announced()
                    self._note(database)
                    noted = time.monotonic()
                if not feed.wait(position + 1, self._options.poll_interval):
                    if feed.has_ended:
                        source = self._plan.backend.describe()
                        raise StateError(f"{source} has ended after ledger {position}: nothing is left to follow")
                    continue
                if not self._follow_once(position):
                    self._stop.wait(self._options.poll_interval)
                position = max(position, self.counts.position or position)
        return SystemState.STOP

    def _verifying(self, database: sa.Engine) -> AbstractContextManager[object]:
        """Compares the state with the archive, beside what a block does, if that was asked for."""
        options = self._options
        if options.build is None or not self._plan.verify_every:
            return nullcontext()
        build = dataclasses.replace(options.build, archive_urls=options.archive_urls)
        return StateVerifier(database, VerifierOptions(build, self._plan.node, options.verify_every))

    def _follow_once(self, position: int) -> bool:
        """Runs the graph over the ledgers that are there; tells whether any was committed."""
        with may_be_stopped(self._plan.feed, self._stop.is_set), kept_if_whole(self._plan.feed):
            launch.run(lambda pipeline: build_follow(pipeline, self._plan, one_tick(position)), self._engine)
        return self.counts.position is not None and self.counts.position > position

    def _first_position(self, database: sa.Engine) -> int:
        """The ledger to go on after: where this node was, so that it passes on every ledger; else the cursor."""
        failed = self._failed_in_a_row > 1
        self._seen_cursor, position = place_to_go_on(database, self._plan, self.counts.position, failed=failed)
        return position

    def _note(self, database: sa.Engine) -> None:
        nodes.note(database, self._plan.node, self.counts.position, self.counts.last_led)

    def _on_event(self, event: metrics.ProgressEvent) -> None:
        if isinstance(event, metrics.LedgerCommitted):
            self.counts.position = event.sequence
            self._failed_in_a_row = 0
            if event.leader:
                self.counts.led += 1
                self.counts.last_led = event.sequence


def _unfinished(database: sa.Engine) -> tuple[builds.UnfinishedBuild, ...]:
    with database.connect() as connection:
        return builds.unfinished_builds(connection)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
