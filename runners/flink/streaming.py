"""A streaming job on Flink: sent, found again, judged by its checkpoints, stopped with a savepoint."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

import apache_beam as beam

from aurora_ingest.errors import AuroraError, ClusterError, RunnerError, UsageError
from aurora_ingest.runners import launch
from aurora_ingest.runners.flink.rest import FlinkRest

ENDED: Final = frozenset({"FINISHED", "CANCELED", "FAILED"})
_PREFIX: Final = "aurora-follow"
_FOLDER: Final = "aurora-"
_METRIC: Final = "aurora_ingest_"
"""How names of our figures begin: namespace of Beam's metric, and what Flink puts behind it."""
_LOOK_SECONDS: Final = 0.2
_MISSED: Final = 10
"""Checkpoint intervals without a completed checkpoint after which a job is not well."""
_LEAST_PATIENCE: Final = 30.0


@dataclass(frozen=True)
class JobName:
    """What a job of following is called on Flink.

    Attributes:
        node: name of the node.
        digest: of the version and processors that it runs.
    """

    node: str
    digest: str

    @classmethod
    def of(cls, node: str, made_by: str) -> JobName:
        """Make the name of a node's job.

        Args:
            node: name of the node.
            made_by: version and processors, in words.
        """
        return cls(node, hashlib.sha256(made_by.encode()).hexdigest()[:12])

    @classmethod
    def parse(cls, text: str) -> JobName | None:
        """Read a name; None if the job is none of ours."""
        words = text.split(".")
        if len(words) < 3 or words[0] != _PREFIX:
            return None
        return cls(".".join(words[1:-1]), words[-1])

    def __str__(self) -> str:
        """Give the name as Flink shows it."""
        return f"{_PREFIX}.{self.node}.{self.digest}"

    def savepoint_folder(self, base: str) -> str:
        """Give the folder of savepoints of this version and these processors."""
        return f"{base.rstrip('/')}/{_FOLDER}{self.digest}"

    def require_own(self, savepoint: str) -> None:
        """Refuse a savepoint whose folder says that another version or other processors made it.

        What lies in a folder of another kind, such as a retained checkpoint, is judged by the job itself.

        Raises:
            UsageError: it is another one's.
        """
        for part in PurePosixPath(savepoint).parts:
            if part.startswith(_FOLDER) and part != f"{_FOLDER}{self.digest}":
                raise UsageError(
                    f"savepoint {savepoint}: it lies in {part}, so another version or other processors made it; those "
                    f"of this one lie in {_FOLDER}{self.digest}. Follow without --from-savepoint: the cursor in the "
                    "database is enough to go on"
                )


@dataclass(frozen=True)
class JobHealth:
    """How a job is.

    Attributes:
        is_well: it runs and completes checkpoints. A job whose workers cannot even start is RUNNING for Flink.
        state: what Flink says of it.
        completed: checkpoints that were completed since its start.
        failed: checkpoints that failed.
        seconds_since: time since the last completed one, or since the start; None when it is unknown.
        checkpoint_bytes: size of the last completed one.
        checkpoint: where it is, None before the first one.
        duration_ms: how long it took.
    """

    is_well: bool
    state: str
    completed: int = 0
    failed: int = 0
    seconds_since: float | None = None
    checkpoint_bytes: int = 0
    checkpoint: str | None = None
    duration_ms: int = 0


@dataclass(frozen=True)
class StreamingJob:
    """A job on Flink.

    Attributes:
        rest: the cluster.
        job_id: Flink's number of it.
        name: what it is called.
    """

    rest: FlinkRest
    job_id: str
    name: JobName

    def state(self) -> str:
        """What Flink says of it, for instance RUNNING.

        Raises:
            ClusterError: Flink does not answer, or does not know the job.
        """
        return str(self.rest.get(f"/jobs/{self.job_id}")["state"])

    def health(self, now: float | None = None) -> JobHealth:
        """Judges the job; one that cannot be asked is not well."""
        moment = time.time() if now is None else now
        try:
            job = self.rest.get(f"/jobs/{self.job_id}")
            told = self.rest.get(f"/jobs/{self.job_id}/checkpoints")
            interval = self.rest.get(f"/jobs/{self.job_id}/checkpoints/config")["interval"] / 1000
        except ClusterError as error:
            return JobHealth(is_well=False, state=f"unknown: {error}")
        return _judged(job, told, interval, moment)

    def failures(self, since: float) -> Iterator[AuroraError]:
        """Yields the errors of ours that made the job begin again, the newest first.

        Args:
            since: seconds since 1970; older ones are left out.
        """
        told = self.rest.get(f"/jobs/{self.job_id}/exceptions")
        for entry in told.get("exceptionHistory", {}).get("entries", ()):
            if entry["timestamp"] / 1000 >= since:
                error = launch.quoted_error(entry["stacktrace"])
                if error is not None:
                    yield error

    def reason(self) -> str:
        """Returns why the job failed last, in one line."""
        text = str(self.rest.get(f"/jobs/{self.job_id}/exceptions").get("root-exception") or "no reason is known")
        causes = [line.removeprefix("Caused by: ") for line in text.splitlines() if line.startswith("Caused by: ")]
        return causes[-1] if causes else text.splitlines()[0]

    def figures(self) -> dict[str, float]:
        """Returns Beam's metrics of the job's steps by name, counts added up; they begin at zero with each restart."""
        found: dict[str, float] = {}
        for vertex in self.rest.get(f"/jobs/{self.job_id}")["vertices"]:
            place = f"/jobs/{self.job_id}/vertices/{vertex['id']}/subtasks/metrics"
            names = [each["id"] for each in self.rest.get(place) if _METRIC in each["id"].rpartition(".")[2]]
            if not names:
                continue
            asked = quote(",".join(names), safe=",")
            for each in self.rest.get(f"{place}?agg=sum&get={asked}"):
                name = each["id"].rpartition(_METRIC)[2]
                found[name] = found.get(name, 0.0) + float(each["sum"])
        return found

    def stop(self, base: str | None = None, seconds: float = 120.0) -> str:
        """Stops the job with a savepoint.

        Args:
            base: folder of savepoints as Flink's machines see it; None takes the cluster's own.
            seconds: longest time.

        Returns:
            Where the savepoint is.

        Raises:
            UsageError: no folder was given, and the cluster has none of its own.
            RunnerError: it could not be made; the job runs on.
        """
        target = self.name.savepoint_folder(base or savepoint_base(self.rest))
        asked = self.rest.post(f"/jobs/{self.job_id}/stop", {"targetDirectory": target, "drain": False})
        place = f"/jobs/{self.job_id}/savepoints/{asked['request-id']}"
        deadline = time.monotonic() + seconds
        while (answer := self.rest.get(place))["status"]["id"] != "COMPLETED":
            if time.monotonic() > deadline:
                raise RunnerError(f"job {self.job_id}: no savepoint within {seconds:.0f} s; the job runs on")
            time.sleep(_LOOK_SECONDS)
        operation = answer["operation"]
        if "location" not in operation:
            text = str(operation.get("failure-cause", {}).get("stack-trace", operation))
            raise RunnerError(f"job {self.job_id}: the savepoint could not be made: {text.splitlines()[0]}")
        return str(operation["location"])

    def cancel(self) -> None:
        """Ends the job without a savepoint; its last checkpoint stays."""
        self.rest.cancel(self.job_id)

    def wait_ended(self, seconds: float = 60.0) -> None:
        """Waits until the job has ended.

        Raises:
            RunnerError: it has not.
        """
        deadline = time.monotonic() + seconds
        while self.state() not in ENDED:
            if time.monotonic() > deadline:
                raise RunnerError(f"job {self.job_id} did not end within {seconds:.0f} s")
            time.sleep(_LOOK_SECONDS)


def _judged(job: dict[str, Any], told: dict[str, Any], interval: float, now: float) -> JobHealth:
    newest = told["latest"]["completed"]
    state = str(job["state"])
    running_since = max(job["timestamps"].get("RUNNING", 0), job["start-time"]) / 1000
    last = running_since if newest is None else max(newest["latest_ack_timestamp"] / 1000, running_since)
    since = max(now - last, 0.0)
    is_well = state == "RUNNING" and since < max(_MISSED * interval, _LEAST_PATIENCE)
    counts = told["counts"]
    if newest is None:
        return JobHealth(is_well, state, counts["completed"], counts["failed"], since)
    size, place, took = newest["state_size"], newest["external_path"], newest["end_to_end_duration"]
    return JobHealth(is_well, state, counts["completed"], counts["failed"], since, size, place, took)


def savepoint_base(rest: FlinkRest) -> str:
    """Returns the cluster's own folder of savepoints.

    Raises:
        UsageError: it has none.
    """
    for entry in rest.get("/jobmanager/config"):
        if entry["key"] == "state.savepoints.dir":
            return str(entry["value"])
    raise UsageError("the cluster has no state.savepoints.dir: say where, --savepoint-dir URL")


def jobs_of(rest: FlinkRest, node: str | None = None) -> list[StreamingJob]:
    """Returns the jobs of following that have not ended, oldest first; of one node if it is named.

    Raises:
        ClusterError: Flink does not answer.
    """
    found = []
    for job in sorted(rest.jobs(), key=lambda each: each["start-time"]):
        name = JobName.parse(job["name"])
        if name is not None and job["state"] not in ENDED and node in {None, name.node}:
            found.append(StreamingJob(rest, job["jid"], name))
    return found


def submit(
    graph: Callable[[beam.Pipeline], object],
    engine: launch.Engine,
    rest: FlinkRest,
    name: JobName,
    seconds: float = 120.0,
) -> StreamingJob:
    """Sends a graph to Flink and returns its job as soon as Flink knows it; the job does not need this process.

    Args:
        graph: builds it.
        engine: with the job's name among its options.
        rest: the same cluster.
        name: the job's name.
        seconds: longest time.

    Raises:
        RunnerError: the job server or Flink did not take it.
    """
    known = {job["jid"] for job in _jobs_or_none(rest)}
    pipeline = beam.Pipeline(options=engine.options)
    graph(pipeline)
    try:
        result = pipeline.run()
    except Exception as error:
        raise launch.failure(error, engine) from error
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for job in _jobs_or_none(rest):
            if job["name"] == str(name) and job["jid"] not in known:
                return StreamingJob(rest, job["jid"], name)
        if result.state in {"FAILED", "CANCELLED"}:
            try:
                result.wait_until_finish()
            except Exception as error:
                raise launch.failure(error, engine) from error
        time.sleep(_LOOK_SECONDS)
    raise RunnerError(f"job {name}: Flink at {rest.url} did not begin it within {seconds:.0f} s; see its log")


def _jobs_or_none(rest: FlinkRest) -> list[dict[str, Any]]:
    """All jobs; none while nobody answers, as with an embedded cluster before its first job."""
    try:
        return rest.jobs()
    except ClusterError:
        return []
