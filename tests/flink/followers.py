"""Nodes that follow on Flink, each watched by a thread of the test; and a local node for comparison."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import closed_network
from aurora_ingest.errors import ClusterError
from aurora_ingest.ledger_backend.backend import BackendOptions
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.pipelines.follow import FollowPlan
from aurora_ingest.runners import launch
from aurora_ingest.runners.flink import streaming
from aurora_ingest.runners.flink.cluster import Cluster
from aurora_ingest.runners.flink.streaming import StreamingJob
from aurora_ingest.streaming_node import StreamingNode, StreamingOptions
from aurora_ingest.system import System, SystemOptions
from aurora_ingest.transforms.processors import HISTORY_TABLES
from following.nodes import cursor_of, until

POLL: Final = 0.1
DEPTH: Final = 5
LAST: Final = 100
"""Last ledger of the small network."""


def plan_of(source: Path, db_url: str, node: str = "one", **changes: Any) -> FollowPlan:
    """What a node of a test follows."""
    backend = open_backend(str(source), closed_network.NETWORK, options=BackendOptions(poll_interval=POLL))
    usual = {"history_tables": HISTORY_TABLES, "order_book_depth": DEPTH}
    return FollowPlan(closed_network.NETWORK, backend, db_url, node, **{**usual, **changes})


def engine_of(cluster: Cluster, *more: str) -> Callable[[tuple[str, ...]], launch.Engine]:
    """Beam's engine for a job of following on a cluster."""
    choice = launch.EngineChoice(launch.FLINK, 1, flink_dir=cluster.folder)
    return lambda flags: launch.choose_engine(
        ("--checkpointing_interval=500", *more, *flags), choice, db_url="postgresql://", streaming=True
    )


@dataclass
class Follower:
    """A node on Flink.

    Attributes:
        node: the node.
        stop: asks it to end.
        thread: runs it.
        failed: what it ended with.
    """

    node: StreamingNode
    stop: threading.Event
    thread: threading.Thread
    failed: list[BaseException]

    @property
    def job(self) -> StreamingJob:
        """The job that it watches; waits for it."""
        until(lambda: self.node.job is not None or self.failed, "a job")
        assert self.node.job is not None, self.failed
        return self.node.job

    def wait_for(self, ledger: int) -> None:
        """Waits until a ledger is committed."""
        url = self.node._plan.db_url
        until(lambda: cursor_of(url) >= ledger or self.failed, f"ledger {ledger}; {self.node.health()}")
        assert not self.failed, self.failed

    def end(self) -> str:
        """Stops it and returns its savepoint."""
        self.stop.set()
        self.join()
        assert self.node.left_savepoint is not None
        return self.node.left_savepoint

    def join(self) -> None:
        """Waits for its end."""
        self.thread.join(120)
        assert not self.thread.is_alive()
        assert not self.failed, self.failed


@contextmanager
def following(
    cluster: Cluster, plan: FollowPlan, savepoint: str | None = None, *more: str, poll: float = POLL
) -> Iterator[Follower]:
    """A node for the time of a block; its job is ended in any case."""
    how = StreamingOptions(
        cluster.rest, engine_of(cluster, *more), savepoint=savepoint, answers=not cluster.settings.embedded
    )
    stop = threading.Event()
    node = StreamingNode(SystemOptions(plan, poll_interval=poll), launch.choose_engine([]), how, stop)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            node.run()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Follower(node, stop, thread, failed)
    finally:
        cancel_all(cluster)
        stop.set()
        thread.join(120)
        cancel_all(cluster)


def cancel_all(cluster: Cluster) -> None:
    """Ends every job of following on a cluster."""
    try:
        for job in streaming.jobs_of(cluster.rest):
            job.cancel()
            job.wait_ended()
    except ClusterError:
        pass  # an embedded cluster without a job


def follow_here(plan: FollowPlan) -> None:
    """Follows to the last ledger in this process."""
    System(SystemOptions(plan, poll_interval=POLL), launch.choose_engine([])).run()


def task_manager_of(cluster: Cluster, job: StreamingJob) -> str:
    """The name of the task manager that runs a job."""
    vertex = cluster.rest.get(f"/jobs/{job.job_id}")["vertices"][0]["id"]
    subtask = cluster.rest.get(f"/jobs/{job.job_id}/vertices/{vertex}")["subtasks"][0]
    return str(subtask["taskmanager-id"])


def looks(job: StreamingJob) -> float:
    """How often a job's reader has looked for ledgers since its last restart."""
    try:
        return job.figures().get("looks", 0.0)
    except ClusterError:
        return 0.0


def checkpoint_sizes(job: StreamingJob, enough: Callable[[], bool], seconds: float) -> list[int]:
    """The sizes of a job's checkpoints, as they are completed, until there are enough of whatever counts."""
    sizes: dict[int, int] = {}
    end = time.monotonic() + seconds
    while not enough():
        assert time.monotonic() < end, f"not within {seconds:.0f} s; {len(sizes)} checkpoints, {job.health()}"
        health = job.health()
        if health.completed:
            sizes[health.completed] = health.checkpoint_bytes
        time.sleep(0.25)
    return [sizes[number] for number in sorted(sizes)]
