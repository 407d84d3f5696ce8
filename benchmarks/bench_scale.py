"""Growth: a state build in key ranges and a reingest at 1, 4 and 16 times the data, and whether a line foretells it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import bench_history
import inputs
from measure import Case, Series, interleave
from report import Suite, Target
from scale_model import Line

NAME = "scale"
FACTORS = (1, 4, 16)
LARGEST_ENTRIES = 960_000
LARGEST_LEDGERS = 1024
WITHIN = 15.0
"""Percent that the foretold figure may be off at 16 times."""


def run(entries: int, rounds: int) -> Suite:
    """Measure states of at most 0.96 M entries and ranges of at most 1,024 ledgers."""
    largest = min(entries, LARGEST_ENTRIES)
    states = [_state(largest * factor // FACTORS[-1]) for factor in FACTORS]
    ranges = [_range(LARGEST_LEDGERS * factor // FACTORS[-1]) for factor in FACTORS]
    series = interleave([*states, *ranges], min(rounds, 3))
    built, ingested = series[: len(FACTORS)], series[len(FACTORS) :]
    notes = [
        f"{each.case}: intermediate files {each.median('work_written') / 1e6:,.1f} MB written and "
        f"{each.median('work_read') / 1e6:,.1f} MB read, receipts {each.median('shuffled') / 1e3:,.0f} kB shuffled, "
        f"Parquet {each.median('parquet_bytes') / 1e6:,.1f} MB in {each.median('parts'):,.0f} files."
        for each in built
    ]
    notes.append("Foretold by the line through the figures at 1 and 4 times, compared with what 16 times took.")
    targets = [
        *_foretold("state build, CPU seconds", built, lambda each: each.median("cpu_seconds")),
        *_foretold("state build, bytes of intermediate files", built, lambda each: each.median("work_written")),
        *_foretold("reingest, CPU seconds", ingested, lambda each: each.median("cpu")),
        _growth("state build, peak memory from 4 to 16 times", built),
        _growth("reingest, peak memory from 4 to 16 times", ingested),
    ]
    return Suite(NAME, "Growth with the data", tuple(series), tuple(notes), tuple(targets))


def _foretold(what: str, series: list[Series], figure: Callable[[Series], float]) -> list[Target]:
    """Compare the figure at 16 times with the line through those at 1 and 4 times."""
    points = [(float(each.work), figure(each)) for each in series]
    foretold, reached = Line.through(points[:2]).at(points[2][0]), points[2][1]
    off = 100 * abs(foretold / reached - 1)
    return [Target(f"{what} at 16 times: foretold off by", off, WITHIN, at_most=True, unit="%")]


def _growth(what: str, series: list[Series]) -> Target:
    peaks = [max(run.peak_rss for run in each.runs) for each in series]
    return Target(f"{what}: growth", 100 * (peaks[2] / peaks[1] - 1), 20.0, at_most=True, unit="%")


def _state(entries: int) -> Case:
    archive, folder = inputs.synthetic(entries), inputs.SCRATCH / "scale-state"
    child = [sys.executable, str(inputs.HERE / "child_scale.py"), str(archive.folder), str(folder)]
    return Case(
        f"state build in key ranges, {archive.entries:,} entries",
        child,
        archive.entries,
        before=_without(folder),
        environment=inputs.PYTHON_PATH,
    )


def _range(ledgers: int) -> Case:
    made, folder = bench_history.lake("pubnet-rep"), inputs.SCRATCH / "scale-history"
    count = made.last - made.first + 1
    return Case(
        f"reingest-range to Parquet, {ledgers:,} ledgers",
        bench_history.command("pubnet-rep", "--parquet", str(folder), last=made.first + ledgers - 1),
        made.raw_bytes * ledgers // count,
        "bytes",
        before=_without(folder),
        environment=inputs.PYTHON_PATH,
    )


def _without(folder: Path) -> Callable[[], None]:
    return lambda: shutil.rmtree(folder, ignore_errors=True)
