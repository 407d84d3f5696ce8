"""Peak memory of `build-state` at a small and at a ten times larger archive."""

from __future__ import annotations

import shutil
import sys

import inputs
from measure import Case, interleave
from report import Suite, Target

NAME = "memory"
SMALL = 500_000
FACTOR = 10
LIMIT = 1 << 30


def run(entries: int, rounds: int) -> Suite:
    """Measure ``entries`` (at most 0.5 M) and ten times as many into Parquet."""
    small = inputs.synthetic(min(entries, SMALL))
    large = inputs.synthetic(min(entries, SMALL) * FACTOR)
    parquet = inputs.SCRATCH / "parquet"
    child = [sys.executable, str(inputs.HERE / "child_build.py"), "beam"]

    def no_parquet() -> None:
        shutil.rmtree(parquet, ignore_errors=True)

    first, second = interleave(
        [
            Case(
                f"build-state, Parquet, {archive.entries:,} entries",
                [*child, str(archive.folder), "--parquet", str(parquet)],
                archive.entries,
                before=no_parquet,
                environment=inputs.PYTHON_PATH,
            )
            for archive in (small, large)
        ],
        min(rounds, 2),
    )
    no_parquet()
    peaks = [max(run.peak_rss for run in series.runs) for series in (first, second)]
    return Suite(
        NAME,
        "Peak memory",
        (first, second),
        ("Largest resident set of the one process that does everything, Python, Beam and Arrow included.",),
        (
            Target("growth of the peak at ten times the entries", 100 * (peaks[1] / peaks[0] - 1), 20, True, "%"),
            Target("peak at the larger archive", peaks[1] / 1e6, LIMIT / 1e6, True, "MB"),
        ),
    )
