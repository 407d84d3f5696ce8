"""Runs commands in turn and keeps what each took; a ratio is only made of figures that were taken in the same call."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

CALL = uuid.uuid4().hex
"""Names this call of the benchmark; every figure carries it."""


class RatioError(ValueError):
    """Two figures that were not taken side by side."""


@dataclass(frozen=True)
class Run:
    """One run of one command.

    Attributes:
        wall: seconds from start to end of the process.
        cpu: user and system seconds of the process and the children it waited for.
        peak_rss: largest resident set in bytes, as the command said it (``peak_rss_bytes``); else what the system
            tells of it, which counts this process's own size before the command started.
        said: the JSON object that the command printed as its last line; its ``seconds`` and ``cpu_seconds``, where
            there are any, leave out start-up.
    """

    wall: float
    cpu: float
    peak_rss: int
    said: Mapping[str, Any]

    def figure(self, name: str) -> float:
        """Return ``wall``, ``cpu``, ``peak_rss`` or a number that the command said."""
        return float(self.said[name] if name in self.said else getattr(self, name))


@dataclass(frozen=True)
class Series:
    """All runs of one case in one call.

    Attributes:
        case: what was run, in words.
        work: how many of the unit of work one run does.
        unit: the unit of work, for instance ``entries``.
        runs: in the order they were made.
        call: which call of the benchmark made them.
    """

    case: str
    work: int
    unit: str
    runs: tuple[Run, ...]
    call: str = CALL

    def median(self, name: str) -> float:
        """Return the median of a figure over the runs."""
        return statistics.median(run.figure(name) for run in self.runs)

    def spread(self, name: str) -> tuple[float, float]:
        """Return the least and the largest value of a figure."""
        values = [run.figure(name) for run in self.runs]
        return min(values), max(values)

    def rate(self, name: str) -> float:
        """Return work per second by the median of a figure in seconds."""
        return self.work / self.median(name)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Series:
        """Read back what `to_json` gave."""
        return Series(**{**values, "runs": tuple(Run(**run) for run in values["runs"])})


def ratio(ours: Series, theirs: Series, name: str) -> float:
    """Return how many times our rate is theirs, by the median of a figure in seconds.

    Raises:
        RatioError: the two series were not taken in the same call, on the same work.
    """
    if ours.call != theirs.call:
        raise RatioError(
            f"{ours.case} and {theirs.case} were not run in the same call: no ratio of them means anything"
        )
    if (ours.work, ours.unit) != (theirs.work, theirs.unit):
        raise RatioError(
            f"{ours.case} did {ours.work} {ours.unit}, {theirs.case} {theirs.work} {theirs.unit}: not the same work"
        )
    return theirs.median(name) / ours.median(name)


@dataclass(frozen=True)
class Case:
    """A command to be measured.

    Attributes:
        name: what is run, in words.
        command: program and arguments.
        work: how many units of work a run does.
        unit: name of the unit.
        cores: pin the process to that many cores; None leaves it free.
        before: called before each run, not measured.
        around: called just before and just after each run; the difference of what it returns is added to ``said``.
    """

    name: str
    command: Sequence[str]
    work: int
    unit: str = "entries"
    cores: int | None = None
    before: Callable[[], None] | None = None
    around: Callable[[], Mapping[str, float]] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def run_once(case: Case) -> Run:
    """Run a command to its end.

    Raises:
        RuntimeError: the command failed; the message has the end of what it wrote.
    """
    if case.before is not None:
        case.before()
    cores = sorted(os.sched_getaffinity(0))[: case.cores] if case.cores else None
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        earlier = case.around() if case.around is not None else {}
        start = time.perf_counter()
        process = subprocess.Popen(
            list(case.command),
            stdout=out,
            stderr=errors,
            env={**os.environ, **case.environment},
            preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509  # no threads
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        later = case.around() if case.around is not None else {}
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        said, complaint = out.read().decode(), errors.read().decode()
    if process.returncode != 0:
        raise RuntimeError(f"{case.name}: exit {process.returncode}\n{complaint[-2000:]}{said[-500:]}")
    words = _last_json(said)
    words |= {name: value - earlier[name] for name, value in later.items()}
    peak = int(words.pop("peak_rss_bytes", usage.ru_maxrss * 1024))
    return Run(wall, usage.ru_utime + usage.ru_stime, peak, words)


def own_peak_rss() -> int:
    """Return the largest resident set that this process has had since it was started, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


def _last_json(text: str) -> dict[str, Any]:
    """Return the object on the last line of an output, or an empty one."""
    lines = text.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        return {}
    words: dict[str, Any] = json.loads(lines[-1])
    return words


def interleave(cases: Sequence[Case], rounds: int, log: Callable[[str], None] = print) -> list[Series]:
    """Run all cases in turn, ``rounds`` times, every other round in reverse, so that drift of the machine hits all."""
    runs: dict[str, list[Run]] = {case.name: [] for case in cases}
    for number in range(rounds):
        for case in cases if number % 2 == 0 else reversed(cases):
            run = run_once(case)
            runs[case.name].append(run)
            log(f"  round {number + 1}/{rounds}  {case.name}: {run.wall:.2f} s wall, {run.cpu:.2f} s CPU")
    return [Series(case.name, case.work, case.unit, tuple(runs[case.name])) for case in cases]


def machine() -> dict[str, str]:
    """Describe the machine and the programs on it."""

    def said(*command: str) -> str:
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            return "not found"

    def version(name: str) -> str:
        if name == "python":
            return platform.python_version()
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return "not found"

    facts = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    names = {key.strip(): value.strip() for key, value in facts.items()}
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // (1 << 20)
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": names.get("model name", "unknown"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory} GiB",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "kernel": " ".join(os.uname()[i] for i in (0, 2)),
        **{name: version(name) for name in ("python", "apache-beam", "pyarrow", "sqlalchemy", "psycopg")},
        "rustc": said("rustc", "--version"),
        "go": said("go", "version"),
        "commit": said("git", "describe", "--always", "--dirty"),
    }
