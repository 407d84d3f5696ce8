"""`build-state` into Parquet and SQLite, and what Beam costs beside a plain loop over the same functions."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import inputs
from measure import Case, Series, interleave
from report import Suite, Target

NAME = "build"


def run(entries: int, rounds: int) -> Suite:
    """Measure a synthetic archive."""
    archive = inputs.synthetic(entries)
    parquet, sqlite = inputs.SCRATCH / "parquet", inputs.SCRATCH / "state.db"
    child = [sys.executable, str(inputs.HERE / "child_build.py")]
    into_parquet = ["--parquet", str(parquet)]
    database = f"sqlite:///{sqlite}"

    def case(name: str, how: str, target: list[str], before: Callable[[], None], cores: int | None) -> Case:
        command = [*child, how, str(archive.folder), *target]
        return Case(name, command, archive.entries, cores=cores, before=before, environment=inputs.PYTHON_PATH)

    def no_parquet() -> None:
        shutil.rmtree(parquet, ignore_errors=True)

    def empty_database() -> None:
        _remove(sqlite)
        inputs.migrate(database)

    bare, beam, free = interleave(
        [
            case("plain loop, Parquet, one core", "bare", into_parquet, no_parquet, 1),
            case("build-state, Parquet, one core", "beam", into_parquet, no_parquet, 1),
            case("build-state, Parquet, all cores", "beam", into_parquet, no_parquet, None),
        ],
        rounds,
    )
    (into_sqlite,) = interleave(
        [case("build-state, SQLite, all cores", "beam", ["--db-url", database], empty_database, None)], min(rounds, 2)
    )
    no_parquet()
    _remove(sqlite)
    return Suite(
        NAME,
        f"build-state: synthetic archive of {archive.entries:,} live entries, all 16 tables",
        (bare, beam, free, into_sqlite),
        (
            (
                "“Inner” leaves out starting Python and importing Beam; it has everything else: proof of the "
                "checkpoint, graph, merge, rows, files, manifest."
            ),
            "The plain loop calls the same readers, rows functions, spill, writers and publish one after another.",
        ),
        (
            Target(
                "build-state to Parquet, one core, entries per CPU second", beam.rate("cpu_seconds"), 600_000, unit=""
            ),
            Target("build-state to Parquet, all cores, entries per second", free.rate("seconds"), 600_000, unit=""),
            Target("Beam's overhead over the plain loop, CPU", overhead(beam, bare), 40, at_most=True, unit="%"),
        ),
    )


def overhead(beam: Series, bare: Series) -> float:
    """Return what Beam adds, in percent of the CPU seconds of the plain loop in the same call."""
    if beam.call != bare.call or beam.work != bare.work:
        raise ValueError("the two sides were not run in the same call on the same work")
    return 100 * (beam.median("cpu_seconds") / bare.median("cpu_seconds") - 1)


def _remove(database: Path) -> None:
    for path in (database, Path(f"{database}-wal"), Path(f"{database}-shm")):
        path.unlink(missing_ok=True)
