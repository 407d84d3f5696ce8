"""Follows ledgers in this process, all at once or at a pace, and prints rates, lags and memory."""

from __future__ import annotations

import argparse
import itertools
import json
import threading
import time
from pathlib import Path

from chained_ledgers import ARCHIVE, CHECKPOINT, chained, framed
from measure import own_peak_rss

from aurora_ingest.ledger_backend.backend import BackendOptions
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.network import STANDALONE
from aurora_ingest.pipelines.follow import FollowPlan
from aurora_ingest.runners import launch
from aurora_ingest.system import System, SystemOptions
from aurora_ingest.transforms import metrics

TABLES = ("history_ledgers", "history_transactions", "history_operations", "history_contract_events")


class Watch:
    """Notes when each ledger was committed, and the resident set every so many ledgers."""

    def __init__(self, every: int) -> None:
        self.committed: dict[int, float] = {}
        self.resident: list[int] = []
        self._every = every

    def __call__(self, event: metrics.ProgressEvent) -> None:
        """Take an event of the node."""
        if isinstance(event, metrics.LedgerCommitted):
            self.committed[event.sequence] = time.time()
            if len(self.committed) % self._every == 0:
                self.resident.append(_resident())


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmRSS")


def give_at_pace(path: Path, count: int, seconds: float, given: dict[int, float]) -> None:
    """Append ledgers to a stream, one every so many seconds, and note when each was whole."""
    begun = time.monotonic()
    with path.open("ab", buffering=0) as file:
        for number, (sequence, lcm) in enumerate(chained(count)):
            time.sleep(max(0.0, begun + number * seconds - time.monotonic()))
            file.write(framed(lcm))
            given[sequence] = time.time()


def _part(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def main() -> None:
    """Run ``child_follow.py STREAM DB_URL COUNT [--pace SECONDS]``; with a pace the stream is written here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stream", type=Path)
    parser.add_argument("db_url")
    parser.add_argument("count", type=int)
    parser.add_argument("--pace", type=float)
    parser.add_argument("--poll-interval", type=float, default=0.2)
    arguments = parser.parse_args()
    network = STANDALONE.with_checkpoint_frequency(8)
    given: dict[int, float] = {}
    if arguments.pace is not None:
        arguments.stream.write_bytes(b"")
        words = (arguments.stream, arguments.count, arguments.pace, given)
        threading.Thread(target=give_at_pace, args=words, daemon=True).start()
    source = open_backend(str(arguments.stream), network, options=BackendOptions(poll_interval=arguments.poll_interval))
    last = CHECKPOINT + arguments.count
    plan = FollowPlan(network, source, arguments.db_url, "bench", TABLES, until=last)
    watch = Watch(max(1, arguments.count // 20))
    start, cpu = time.perf_counter(), time.process_time()
    with metrics.subscribe(watch):
        System(
            SystemOptions(plan, (str(ARCHIVE),), poll_interval=arguments.poll_interval), launch.choose_engine([])
        ).run()
    said: dict[str, float] = {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "peak_rss_bytes": own_peak_rss(),
        "rss_early": max(watch.resident[: len(watch.resident) // 4] or [0]),
        "rss_late": max(watch.resident[-(len(watch.resident) // 4) :] or [0]),
    }
    if given:
        lags = sorted(watch.committed[ledger] - given[ledger] for ledger in given)
        said |= {"lag_p50": _part(lags, 0.5), "lag_p99": _part(lags, 0.99), "lag_max": lags[-1]}
    else:
        waits = sorted(later - former for former, later in itertools.pairwise(watch.committed.values()))
        said["between_p99"] = _part(waits, 0.99)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
