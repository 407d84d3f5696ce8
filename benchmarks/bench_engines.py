"""One reingest to Parquet on every engine beside a plain loop over its functions; Flink with one and two workers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import inputs
from bench_history import kept_lake
from make_lake import MadeLake
from measure import Case, Series, interleave, ratio
from report import Suite, Target

from aurora_ingest.runners.flink import cluster, processes
from aurora_ingest.runners.flink.cluster import Cluster
from aurora_ingest.runners.flink.settings import ClusterSettings

NAME = "engines"
_NETWORK = "load-test"
_LEDGERS, _MANY = 1024, 4096
_CHUNK = 32
_WORKERS = ("parallelism 1", "parallelism 2")
_ALONE = "parallelism 1 on one core"
"""One worker with the share of Flink that it needs, all of it on one core, as one more machine would bring it."""
_PRISM = Path.home() / ".cache" / "aurora-ingest" / "prism-2.77.0" / "prism"
"""Built by tests/flink; left out of the suite where it is not."""


def run(_entries: int, rounds: int) -> Suite:
    """Measure the load test's lake; the number of entries has no meaning here."""
    folder = inputs.SCRATCH / "flink"
    ports = {"rest_port": 0, "job_port": 0, "artifact_port": 0, "rpc_port": 0}
    flink = cluster.up(folder, ClusterSettings(**ports))
    try:
        series = {each.case: each for each in interleave(_cases(flink), min(rounds, 3))}
    finally:
        cluster.down(folder)
    bare, local = series["plain loop, one core"], series["FnApiRunner, one core"]
    alone, one, two = (series[f"Flink, {case}, four times as long"] for case in (_ALONE, *_WORKERS))
    overheads = [
        f"{each.case} {each.median('wall') / bare.median('wall'):.2f}"
        for each in series.values()
        if each is not bare and each.work == bare.work
    ]
    return Suite(
        NAME,
        f"reingest-range to Parquet, {bare.work / 1e6:.0f} MB of a load test's ledgers, five tables",
        tuple(series.values()),
        (
            "Wall : that of the plain loop, in the same call: " + "; ".join(overheads) + ".",
            "One worker that has both cores leaves one to Flink's Java processes; two workers share theirs with them.",
            "Flink: "
            + "; ".join(_flink_cpu(each) for each in (alone, one, two))
            + " CPU s in the cluster beside the client.",
            (
                "Whole commands, start-up included; on Flink that is the client's start, the submission, and Python "
                "workers that begin anew for every job. The standalone cluster runs already."
            ),
        ),
        (
            Target("Flink, two workers : one, wall", ratio(two, one, "wall"), 1.7),
            Target("Flink, two workers on two cores : one on one core, wall", ratio(two, alone, "wall"), 1.7),
            Target(
                "FnApiRunner's overhead over the plain loop, CPU",
                100 * (local.median("cpu") / bare.median("cpu") - 1),
                40,
                at_most=True,
                unit="%",
            ),
        ),
    )


def _long_lake(ledgers: int) -> MadeLake:
    """1.2 MB of LedgerCloseMeta per ledger: enough for the start of a job to be a small part of it."""
    return kept_lake(f"loadtest-{ledgers}", "loadtest-10048-10077", 64_000, ledgers)


def _cases(flink: Cluster) -> list[Case]:
    out = inputs.SCRATCH / "engines-parquet"

    def cluster_cpu() -> Mapping[str, float]:
        pids = {pid for process in flink.processes for pid in processes.members(process)}
        return {"cluster_cpu": sum(processes.cpu_seconds(pid) for pid in pids)}

    def case(name: str, start: Sequence[str], *words: str, ledgers: int = _LEDGERS, cores: int | None = None) -> Case:
        made = _long_lake(ledgers)

        def before() -> None:
            shutil.rmtree(out, ignore_errors=True)
            _give_cores(flink, cores)

        source = ["--network", _NETWORK, "--ledgers", made.url, "--from", str(made.first), "--to", str(made.last)]
        return Case(
            name,
            [*start, *source, "--chunk-ledgers", str(_CHUNK), "--parquet", str(out), *words],
            made.raw_bytes,
            "bytes",
            cores=cores,
            before=before,
            around=cluster_cpu if "flink" in words else None,
            environment=inputs.PYTHON_PATH,
        )

    ours = [sys.executable, "-m", "aurora_ingest", "reingest-range", "--log-level", "warning", "--json"]
    there = ["--engine", "flink", "--flink-dir", str(flink.folder), "--parallelism"]
    cases = [
        case("plain loop, one core", [sys.executable, str(inputs.HERE / "child_engines.py")], cores=1),
        case("FnApiRunner, one core", ours, cores=1),
        case("FnApiRunner, 2 workers", ours, "--workers", "2"),
    ]
    for count, workers in enumerate(_WORKERS, 1):
        cases.append(case(f"Flink, {workers}", ours, *there, str(count)))
        cases.append(case(f"Flink, {workers}, four times as long", ours, *there, str(count), ledgers=_MANY))
    cases.append(case(f"Flink, {_ALONE}, four times as long", ours, *there, "1", ledgers=_MANY, cores=1))
    if _PRISM.exists():
        cases.append(case("Prism", ours, "--", "--runner=PrismRunner", f"--prism_location={_PRISM}"))
    return cases


def _give_cores(flink: Cluster, cores: int | None) -> None:
    """Let all threads of a cluster run on that many cores of the machine, or on all of them."""
    last = (cores or os.cpu_count() or 1) - 1
    for pid in {pid for process in flink.processes for pid in processes.members(process)}:
        words = ["taskset", "-acp", f"0-{last}", str(pid)]
        subprocess.run(words, check=False, capture_output=True)  # a worker may end meanwhile


def _flink_cpu(series: Series) -> str:
    return f"{series.case} {series.median('cluster_cpu'):.1f}"
