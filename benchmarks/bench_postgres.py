"""`build-state` into PostgreSQL on the input of Horizon's measured state build, client and server counted together."""

from __future__ import annotations

import sys

import inputs
import psycopg
from measure import Case, Series, interleave
from postgres_server import Server, private_server
from psycopg import sql
from report import Suite, Target

NAME = "postgres"
HORIZON_ROWS_PER_SECOND = 92_000
"""Best of three runs, quoted from design/baselines.md §3 (Horizon v28, pubnet x10, this kind of machine)."""
HORIZON_ROWS_PER_CPU_SECOND = 74_000
"""Horizon and server together, same place."""
HORIZON_ROWS = 1_399_814
_DATABASE = "bench"


def run(entries: int, rounds: int) -> Suite:
    """Measure ten copies of pubnet's state, and a synthetic archive for information."""
    x10, synthetic = inputs.pubnet_x10(), inputs.synthetic(entries)
    child = [sys.executable, str(inputs.HERE / "child_build.py"), "beam"]
    with private_server() as server:
        url = server.url(_DATABASE)

        def empty_database() -> None:
            server.recreate(_DATABASE)
            inputs.migrate(url)

        def case(name: str, folder: str, work: int, unit: str) -> Case:
            return Case(
                name,
                [*child, folder, "--db-url", url],
                work,
                unit,
                before=empty_database,
                around=lambda: {"server_cpu": server.cpu_seconds()},
                environment=inputs.PYTHON_PATH,
            )

        (copies,) = interleave([case("build-state, pubnet x10", str(x10.folder), HORIZON_ROWS, "rows")], rounds)
        found = _rows(server)
        if found != HORIZON_ROWS:
            raise ValueError(f"pubnet x10 gave {found} rows, Horizon wrote {HORIZON_ROWS}: the runs are not comparable")
        (made,) = interleave(
            [case(f"build-state, synthetic {synthetic.entries:,} entries", str(synthetic.folder), 1, "rows")],
            min(rounds, 2),
        )
        made = Series(made.case, _rows(server), made.unit, made.runs)
        version = server.version
    server_cpu, all_in = copies.median("server_cpu"), all_in_cpu(copies)
    return Suite(
        NAME,
        "build-state into PostgreSQL",
        (copies, made),
        (
            f"PostgreSQL {version}, shared_buffers 512 MB, otherwise as installed, on the same cores as the client.",
            (
                f"pubnet x10: server {server_cpu:.1f} CPU s, client {copies.median('cpu'):.1f}, together {all_in:.1f}; "
                f"synthetic: server {made.median('server_cpu'):.1f}, client {made.median('cpu'):.1f}. "
                "Server figures are of the whole process tree."
            ),
            (
                f"Horizon's figures ({HORIZON_ROWS_PER_SECOND:,} rows/s wall, {HORIZON_ROWS_PER_CPU_SECOND:,} rows per "
                "CPU second all-in) are quoted from an earlier measurement on a machine of this kind, not run here."
            ),
            (
                "Ours has start-up, proof of the checkpoint, indexes, ANALYZE and the swap in it; both write the same "
                f"{HORIZON_ROWS:,} rows."
            ),
        ),
        (
            Target(
                "rows per second, wall, whole process; wanted 3 times what is quoted of Horizon",
                copies.rate("wall"),
                3 * HORIZON_ROWS_PER_SECOND,
                unit="rows/s",
            ),
            Target(
                "rows per CPU second, all-in; wanted 2.5 times what is quoted of Horizon",
                HORIZON_ROWS / all_in,
                2.5 * HORIZON_ROWS_PER_CPU_SECOND,
                unit="rows/s",
            ),
        ),
    )


def all_in_cpu(series: Series) -> float:
    """Return the median over the runs of client and server CPU seconds together."""
    totals = sorted(run.cpu + run.figure("server_cpu") for run in series.runs)
    middle = len(totals) // 2
    return totals[middle] if len(totals) % 2 else (totals[middle - 1] + totals[middle]) / 2


def _rows(server: Server) -> int:
    """Count the rows of all state tables."""
    from aurora_ingest.db.tables import STATE_TABLES

    one = sql.SQL("(SELECT count(*) FROM {})")
    counts = sql.SQL(" + ").join(one.format(sql.Identifier(table)) for table in STATE_TABLES)
    with psycopg.connect(server.url(_DATABASE)) as connection:
        row = connection.execute(sql.SQL("SELECT {}").format(counts)).fetchone()
    assert row is not None
    return int(row[0])
