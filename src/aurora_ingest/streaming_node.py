"""A following node whose graph is a streaming job on Flink: this process starts the job, watches it and stops it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from aurora_ingest.db.found_state import Found, look
from aurora_ingest.db.lead_books import commits_after
from aurora_ingest.errors import (
    BackendError,
    ClusterError,
    DatabaseError,
    MigrationError,
    RunnerError,
    UsageError,
)
from aurora_ingest.pipelines.follow import build_follow, place_to_go_on
from aurora_ingest.runners import launch
from aurora_ingest.runners.flink import streaming
from aurora_ingest.runners.flink.rest import FlinkRest
from aurora_ingest.runners.flink.streaming import JobHealth, JobName, StreamingJob
from aurora_ingest.runners.ticks import FlinkTicks
from aurora_ingest.system import System, SystemOptions, SystemState
from aurora_ingest.transforms import metrics

_LOG = logging.getLogger(__name__)
_PASSING: Final = (BackendError, DatabaseError, RunnerError)
"""Failures that Flink's own restarts, or time, may mend."""
_LEAST_WAIT: Final = 0.1
_ASK_SECONDS: Final = 0.5
"""Time between two looks after the job; those for its ledgers only ask the database."""
_MOST_UNANSWERED: Final = 3.0
"""Seconds without an answer from Flink after which its job manager counts as gone."""


@dataclass(frozen=True)
class StreamingOptions:
    """How the job is run.

    Attributes:
        rest: the cluster.
        engine: makes Beam's engine from further Beam flags, for one submission.
        answers: Flink answers also while it has no job; an embedded cluster does not.
        savepoint: where the first job takes its state from; None begins at the cursor.
        savepoint_dir: where the job's end leaves a savepoint; None is the cluster's own folder.
        detach: leave the job to itself as soon as it runs.
    """

    rest: FlinkRest
    engine: Callable[[tuple[str, ...]], launch.Engine]
    answers: bool = True
    savepoint: str | None = None
    savepoint_dir: str | None = None
    detach: bool = False


class StreamingNode(System):
    """One node on Flink; `run` returns when it was stopped, its last ledger is there, or it is detached.

    The job leads or follows by itself; this process is needed to build a state, to begin the job again when a job
    manager has lost it, to tell its figures, and to stop it. If this process dies, the job goes on, and the next one of
    the same node takes it over.
    """

    def __init__(self, options: SystemOptions, build_engine: launch.Engine, how: StreamingOptions, stop: Any) -> None:
        """Keeps what to do.

        Args:
            options: what to do.
            build_engine: where a state is built.
            how: how the job is run.
            stop: event that asks to stop the job and end.

        Raises:
            UsageError: the source cannot be read again, or the savepoint is of another version or other processors.
        """
        super().__init__(options, build_engine, stop)
        self._how = how
        if not self._plan.backend.repeatable:
            raise UsageError(
                f"{self._plan.backend.describe()} cannot be read again, as workers of an engine have to after a "
                "failure: follow it in this process, without --engine"
            )
        self._name = JobName.of(self._plan.node, self._plan.made_by)
        if how.savepoint is not None:
            self._name.require_own(how.savepoint)
        self._savepoint = how.savepoint
        self._asked_for = how.savepoint
        self._job: StreamingJob | None = None
        self._last_health: JobHealth | None = None
        self.left_savepoint: str | None = None

    @property
    def job(self) -> StreamingJob | None:
        """The job that is watched."""
        return self._job

    @property
    def is_detached(self) -> bool:
        """Whether the job was left to itself."""
        return self._how.detach

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Tells whether the node is well: its job completes checkpoints. The job's state alone would not tell."""
        is_well, facts = super().health()
        job = self._job
        if job is None:
            return is_well and self._state is not SystemState.RESUME, facts
        found = job.health()
        facts |= {
            "job": job.job_id,
            "job_state": found.state,
            "checkpoints": found.completed,
            "failed_checkpoints": found.failed,
            "seconds_since_checkpoint": found.seconds_since,
            "checkpoint_bytes": found.checkpoint_bytes,
        }
        return is_well and found.is_well, facts

    def _resume(self) -> SystemState:
        """Watches the job until something else has to be done."""
        database = self._open()
        watched_from = time.time()
        if not self._flink_answers():
            return SystemState.STOP
        _, first = place_to_go_on(database, self._plan, self.counts.position, failed=False)
        job = self._job = self._found_or_sent(first)
        if self.is_detached:
            return SystemState.STOP
        answered = asked = time.monotonic()
        while not self._stop.is_set():
            found, last = look(database, self._plan.network.passphrase)
            if last is not None:
                self._move(database, last)
                if self._plan.until is not None and last >= self._plan.until:
                    break
            if found is not Found.STATE:
                return SystemState.START  # the job follows on meanwhile
            try:
                if time.monotonic() - asked >= _ASK_SECONDS:
                    asked = time.monotonic()
                    self._require_running(job, watched_from)
                    answered = asked
            except ClusterError:
                if time.monotonic() - answered > _MOST_UNANSWERED:
                    self._job = None
                    raise
            self._stop.wait(max(self._options.poll_interval, _LEAST_WAIT))
        self._end(job)
        return SystemState.STOP

    def _flink_answers(self) -> bool:
        """Waits for the cluster: a job that is sent while its job manager is away would begin some time later.

        Returns:
            False if the node was stopped meanwhile.
        """
        told = False
        while self._how.answers and not self._stop.is_set():
            try:
                self._how.rest.jobs()
                break
            except ClusterError as error:
                if not told:
                    _LOG.warning("Waiting for Flink: %s", error)
                told = True
                self._stop.wait(self._options.poll_interval)
        return not self._stop.is_set()

    def _found_or_sent(self, first: int) -> StreamingJob:
        """The node's job: one that runs already, else a new one.

        Args:
            first: ledger that a new one begins after if it takes up no state.
        """
        for job in self._running():
            if job.name == self._name:
                _LOG.info("Job runs already", extra={"job": job.job_id, "node": self._plan.node})
                return job
            raise UsageError(
                f"job {job.job_id} follows for node {self._plan.node} with another version or other tables: stop it "
                f"first (aurora-ingest stop --node {self._plan.node} --savepoint), or give this node another name"
            )
        savepoint, self._savepoint = self._savepoint, None
        flags = [f"--job_name={self._name}"]
        if savepoint is not None:
            flags.append(f"--savepoint_path={savepoint}")
        seconds = self._options.poll_interval
        job = streaming.submit(
            lambda pipeline: build_follow(pipeline, self._plan, FlinkTicks(seconds, first)),
            self._how.engine(tuple(flags)),
            self._how.rest,
            self._name,
        )
        _LOG.info("Job begins", extra={"job": job.job_id, "node": self._plan.node, "state_from": savepoint or "cursor"})
        return job

    def _running(self) -> list[StreamingJob]:
        try:
            return streaming.jobs_of(self._how.rest, self._plan.node)
        except ClusterError:
            return []  # an embedded cluster answers only while it has a job

    def _require_running(self, job: StreamingJob, since: float) -> None:
        """Looks after the job.

        Raises:
            ClusterError: Flink does not answer, or has lost the job.
            RunnerError: the job has ended.
            AuroraError: what will not pass; the job is ended.
        """
        state = job.state()
        for error in job.failures(since):
            if isinstance(error, MigrationError) or not isinstance(error, _PASSING):
                with suppress(ClusterError):
                    job.cancel()
                raise error
        if state in streaming.ENDED:
            self._job = None
            if self._asked_for is not None:
                raise UsageError(
                    f"savepoint {self._asked_for}: Flink could not take a job up from it: {job.reason()}; follow "
                    "without --from-savepoint, the cursor in the database is enough to go on"
                )
            raise RunnerError(f"job {job.job_id} has ended as {state}; another one goes on from the cursor")
        health = job.health()
        if health.checkpoint is not None:
            self._savepoint = health.checkpoint  # where a lost job is taken up
            self._asked_for = None
        if self._last_health is None or health.is_well != self._last_health.is_well:
            log = _LOG.info if health.is_well else _LOG.warning
            log("Job is well" if health.is_well else "Job is not well", extra={"job": job.job_id, "state": state})
        self._last_health = health

    def _move(self, database: sa.Engine, last: int) -> None:
        """Tells the ledgers that were committed since the last look, as a local node does."""
        before = self.counts.position
        if before is None or last < before:
            self.counts.position = last
            return
        if last == before:
            return
        with database.connect() as connection:
            for ledger, node in commits_after(connection, before):
                leader = node == self._plan.node
                self.counts.led += leader
                self.counts.last_led = ledger if leader else self.counts.last_led
                metrics.publish(metrics.LedgerCommitted(ledger, leader, None, None))
        self.counts.position = last
        self._failed_in_a_row = 0

    def _end(self, job: StreamingJob) -> None:
        """Stops the job with a savepoint; without one if none can be made."""
        try:
            self.left_savepoint = job.stop(self._how.savepoint_dir)
        except (RunnerError, UsageError) as error:
            _LOG.warning("Job ends without a savepoint: %s", error, extra={"job": job.job_id})
            with suppress(ClusterError):
                job.cancel()
                job.wait_ended()

    def _leave(self) -> None:
        """Leaves the books to the job when that goes on."""
        if not self.is_detached:
            super()._leave()
