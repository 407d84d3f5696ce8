"""Follows on Flink at one ledger a second while parts of it are killed at random, and prints what became of it."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from chained_ledgers import CHECKPOINT
from child_follow import TABLES, give_at_pace
from measure import own_peak_rss

from aurora_ingest.errors import ClusterError
from aurora_ingest.ledger_backend.backend import BackendOptions
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.network import STANDALONE
from aurora_ingest.pipelines.follow import FollowPlan
from aurora_ingest.runners import launch
from aurora_ingest.runners.flink import cluster as flink
from aurora_ingest.runners.flink.cluster import Cluster
from aurora_ingest.runners.flink.settings import ClusterSettings
from aurora_ingest.streaming_node import StreamingNode, StreamingOptions
from aurora_ingest.system import SystemOptions

WORKER, TASK_MANAGER, JOB_MANAGER = "Python worker", "task manager", "job manager"
_WEIGHTS = {WORKER: 3, TASK_MANAGER: 2, JOB_MANAGER: 1}
_BETWEEN = (40.0, 80.0)
_SAMPLE_SECONDS = 5.0
_POLL = 0.2
_PATIENCE = 180.0


@dataclass
class Soak:
    """All that is measured.

    Attributes:
        kills: when what was killed.
        samples: time, resident bytes of all Python workers and of all Java processes, bytes of the last checkpoint.
        polls: looks of the readers of all jobs, as far as they were seen.
    """

    kills: list[tuple[float, str]] = field(default_factory=list)
    samples: list[tuple[float, int, int, int]] = field(default_factory=list)
    polls: float = 0.0
    _seen: float = 0.0

    def sample(self, node: StreamingNode, cluster: Cluster) -> None:
        """Take one sample."""
        job = node.job
        health = None if job is None else job.health()
        workers = sum(_resident(pid) for pid in cluster.workers())
        java = sum(_resident(process.pid) for process in cluster.processes)
        self.samples.append((time.time(), workers, java, 0 if health is None else health.checkpoint_bytes))
        try:
            now = 0.0 if job is None else job.figures().get("looks", 0.0)
        except ClusterError:
            return
        self.polls += now - self._seen if now >= self._seen else now
        self._seen = now


def strike(cluster: Cluster, what: str) -> Cluster:
    """Kill a part of a cluster, and start it again where nobody else would."""
    if what == WORKER:
        for worker in cluster.workers():
            os.kill(worker, signal.SIGKILL)
        return cluster
    managers = [process.name for process in cluster.task_managers]
    name = random.choice(managers) if what == TASK_MANAGER else flink.JOB_MANAGER
    os.kill(cluster.process(name).pid, signal.SIGKILL)
    time.sleep(1.0)
    return cluster.restart(name)


def _resident(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # it has ended
    return 0


def soak(db_url: str, stream: Path, count: int, pace: float, folder: Path) -> dict[str, float | int | str]:
    """Follow that many ledgers and return the figures."""
    found = Soak()
    given: dict[int, float] = {}
    stream.write_bytes(b"")
    network = STANDALONE.with_checkpoint_frequency(8)
    last = CHECKPOINT + count
    cluster = flink.up(folder, ClusterSettings(rest_port=0, job_port=0, artifact_port=0, rpc_port=0))
    choice = launch.EngineChoice(launch.FLINK, 1, flink_dir=folder)
    source = open_backend(str(stream), network, options=BackendOptions(poll_interval=_POLL))
    plan = FollowPlan(network, source, db_url, "soak", TABLES, until=last, tick_seconds=_POLL)
    how = StreamingOptions(
        cluster.rest, lambda flags: launch.choose_engine(flags, choice, db_url=db_url, streaming=True)
    )
    stop = threading.Event()
    node = StreamingNode(SystemOptions(plan, poll_interval=_POLL), launch.choose_engine([]), how, stop)
    watcher = threading.Thread(target=node.run)
    watcher.start()
    try:
        _wait_until_well(node, watcher)
        giver = threading.Thread(target=give_at_pace, args=(stream, count, pace, given), daemon=True)
        giver.start()
        next_kill = time.monotonic() + _BETWEEN[0]
        while giver.is_alive():
            time.sleep(_SAMPLE_SECONDS)
            found.sample(node, cluster)
            if time.monotonic() >= next_kill and watcher.is_alive():
                what = random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
                found.kills.append((time.time(), what))
                print(f"{len(given)} ledgers given, {what} killed", file=sys.stderr, flush=True)
                cluster = strike(cluster, what)
                next_kill = time.monotonic() + random.uniform(*_BETWEEN)
        watcher.join(_PATIENCE)
    finally:
        stop.set()
        watcher.join(_PATIENCE)
        flink.down(folder)
    return _figures(db_url, given, found, last)


def _wait_until_well(node: StreamingNode, watcher: threading.Thread) -> None:
    """Wait for the first checkpoint: how long a busy machine takes to start a job is another question."""
    deadline = time.monotonic() + _PATIENCE
    while node.job is None or not node.job.health().completed:
        if not watcher.is_alive() or time.monotonic() > deadline:
            raise RuntimeError(f"the job completed no checkpoint within {_PATIENCE:.0f} s: {node.health()}")
        time.sleep(0.5)


def _figures(db_url: str, given: dict[int, float], found: Soak, last: int) -> dict[str, float | int | str]:
    with psycopg.connect(db_url) as connection:
        commits = dict(connection.execute("SELECT ledger, committed_at FROM ingest_commits ORDER BY ledger").fetchall())
        books = "SELECT count(*), count(DISTINCT sequence), min(sequence), max(sequence) FROM history_ledgers"
        ledgers = connection.execute(books).fetchone()
    lags = sorted(commits[ledger] - at for ledger, at in given.items() if ledger in commits)
    quarter = max(len(found.samples) // 4, 1)
    early, late = found.samples[1 : quarter + 1], found.samples[-quarter:]
    figures: dict[str, float | int | str] = {
        "ledgers": len(given),
        "missing": len(given.keys() - commits.keys()),
        "beyond": len(commits.keys() - given.keys()),
        "history_is_whole": int(ledgers == (len(given), len(given), CHECKPOINT + 1, last)),
        "lag_p50": lags[len(lags) // 2],
        "lag_p99": lags[int(len(lags) * 0.99)],
        "lag_max": lags[-1],
        "kills": len(found.kills),
        "polls": found.polls,
    }
    for what in _WEIGHTS:
        pauses = [_pause(commits, at) for at, kind in found.kills if kind == what]
        name = what.lower().replace(" ", "_")
        figures[f"{name}_kills"] = len(pauses)
        figures[f"{name}_pause_max"] = max(pauses, default=0.0)
    for name, place in (("workers", 1), ("java", 2), ("checkpoint", 3)):
        figures[f"{name}_early"] = max(sample[place] for sample in early)
        figures[f"{name}_late"] = max(sample[place] for sample in late)
    figures["checkpoint_max"] = max(sample[3] for sample in found.samples)
    return figures


def _pause(commits: dict[int, float], struck: float) -> float:
    """The longest time between two commits in the 30 seconds after a strike, or up to the first one after it."""
    times = sorted(commits.values())
    after = [at for at in times if struck <= at <= struck + 30] or [at for at in times if at > struck][:1]
    pairs = zip([struck, *after], after, strict=False)
    return max((later - earlier for earlier, later in pairs), default=0.0)


def main() -> None:
    """Run ``child_soak.py STREAM DB_URL COUNT --pace SECONDS --seed N``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stream", type=Path)
    parser.add_argument("db_url")
    parser.add_argument("count", type=int)
    parser.add_argument("--pace", type=float, default=1.0)
    parser.add_argument("--seed", type=int, required=True)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="aurora-soak-"))
    begun, cpu = time.monotonic(), time.process_time()
    try:
        figures = soak(arguments.db_url, arguments.stream, arguments.count, arguments.pace, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures |= {"seconds": time.monotonic() - begun, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({**figures, "peak_rss_bytes": own_peak_rss()}))


if __name__ == "__main__":
    main()
