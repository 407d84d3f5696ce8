"""`follow --engine flink` for twenty minutes at one ledger a second, with kills at random."""

from __future__ import annotations

import os
import sys
import time

import inputs
from bench_follow import build_followed_state
from measure import Case, Series, interleave
from postgres_server import private_server
from report import Suite, Target

NAME = "soak"
LEDGERS = int(os.environ.get("AURORA_BENCH_SOAK", "1200"))
PACE = float(os.environ.get("AURORA_BENCH_SOAK_PACE", "1.0"))
SEED = int(os.environ.get("AURORA_BENCH_SOAK_SEED", str(int(time.time()) % 100_000)))
_DATABASE = "bench_soak"


def run(_entries: int, _rounds: int) -> Suite:
    """Run it once; entries and rounds have no meaning here."""
    with private_server() as server:

        def fresh() -> None:
            server.recreate(_DATABASE)
            build_followed_state(server.url(_DATABASE))

        words = [str(inputs.SCRATCH / "soak.xdr"), server.url(_DATABASE), str(LEDGERS)]
        case = Case(
            f"{LEDGERS:,} ledgers, one every {PACE:g} s, seed {SEED}",
            [sys.executable, str(inputs.HERE / "child_soak.py"), *words, "--pace", str(PACE), "--seed", str(SEED)],
            LEDGERS,
            "ledgers",
            before=fresh,
            environment=inputs.PYTHON_PATH,
        )
        series = interleave([case], 1)[0]
    return Suite(
        NAME,
        "follow --engine flink: job manager, two task managers, job server and PostgreSQL on this machine",
        (series,),
        _notes(series),
        (
            Target("ledgers without a commit", _said(series, "missing"), 0, at_most=True, unit="ledgers"),
            Target("ledgers committed twice, or never given", _said(series, "beyond"), 0, at_most=True, unit="ledgers"),
            Target("history_ledgers has each ledger once", _said(series, "history_is_whole"), 1, unit="(1 is yes)"),
            Target("checkpoint, last quarter : first quarter", _growth(series, "checkpoint"), 1.1, at_most=True),
            Target("resident set of Python workers, likewise", _growth(series, "workers"), 1.2, at_most=True),
            Target("resident set of Java processes, likewise", _growth(series, "java"), 1.2, at_most=True),
        ),
    )


def _notes(series: Series) -> tuple[str, ...]:
    said = series.runs[-1].said
    kinds = ", ".join(
        f"{said[f'{name}_kills']} of a {name.replace('_', ' ')} (longest pause {said[f'{name}_pause_max']:.1f} s)"
        for name in ("python_worker", "task_manager", "job_manager")
    )
    return (
        f"{said['kills']} kills with SIGKILL, one every 40 to 80 s: {kinds}.",
        (
            f"Lag from a ledger's last byte in the stream to its commit: p50 {said['lag_p50']:.2f} s, p99 "
            f"{said['lag_p99']:.2f} s, most {said['lag_max']:.2f} s; kills are part of it."
        ),
        (
            f"At least {said['polls']:,.0f} polls, one every 0.2 s; checkpoints every 2 s, the largest of "
            f"{said['checkpoint_max']:,.0f} bytes."
        ),
        (
            f"Resident set of Python workers {said['workers_late'] / 1e6:.0f} MB, of job manager, task managers and "
            f"job server {said['java_late'] / 1e6:.0f} MB: the largest of the last quarter."
        ),
        "The figures of the table are those of the watching process; the work is done in Flink's.",
    )


def _said(series: Series, name: str) -> float:
    return float(series.runs[-1].said[name])


def _growth(series: Series, name: str) -> float:
    return _said(series, f"{name}_late") / max(_said(series, f"{name}_early"), 1.0)
