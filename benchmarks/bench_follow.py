"""`follow`: ten thousand small ledgers as fast as they go, and three hundred as they close."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import inputs
from chained_ledgers import ARCHIVE, CHECKPOINT, NETWORK_FLAGS, stream_of
from measure import Case, Series, interleave
from postgres_server import Server, private_server
from report import Suite, Target

NAME = "follow"
LEDGERS = int(os.environ.get("AURORA_BENCH_FOLLOW", "10000"))
PACED = min(300, LEDGERS)
PACE = float(os.environ.get("AURORA_BENCH_FOLLOW_PACE", "1.0"))
POLL = 0.2
_DATABASE = "bench_follow"


def run(_entries: int, rounds: int) -> Suite:
    """Measure one node on PostgreSQL and SQLite; the number of entries has no meaning here."""
    with private_server() as server:
        cases = [
            _at_once("PostgreSQL", LEDGERS, server.url(_DATABASE), _fresh_postgres(server), server),
            _at_once("SQLite", LEDGERS // 5, *_sqlite("at-once"), None),
        ]
        series = interleave(cases, min(rounds, 3))
        paced = interleave([_paced(server)], 1)[0]
        version = server.version
    fast, light = series
    slow = paced.runs[-1].said
    return Suite(
        NAME,
        f"follow: {LEDGERS:,} ledgers of 7 transactions, 7 operations and 22 changed entries (10.5 kB), one node",
        (*series, paced),
        (
            f"PostgreSQL {version}, shared_buffers 512 MB, otherwise as installed, on the same cores as the node.",
            f"Server CPU s: {fast.median('server_cpu'):.1f} at full speed, {paced.median('server_cpu'):.1f} paced.",
            (
                f"Paced: {PACED} ledgers, one every {PACE:g} s, poll interval {POLL:g} s, PostgreSQL. Lag from the "
                f"ledger's last byte in the stream to its commit: p50 {slow['lag_p50']:.2f} s, p99 "
                f"{slow['lag_p99']:.2f} s, most {slow['lag_max']:.2f} s. Each ledger is a round of the graph."
            ),
            (
                "State, four history tables, counts, commit book and cursor in one transaction for each group of "
                "ledgers; the ledgers are one closed ledger repeated, chained by new header hashes."
            ),
            "A public network closes a ledger about every five seconds; Horizon follows at that pace.",
        ),
        (
            Target("PostgreSQL, ledgers per second", fast.rate("seconds"), 10, unit="ledgers/s"),
            Target("SQLite, ledgers per second", light.rate("seconds"), 10, unit="ledgers/s"),
            Target("lag p99 of paced ledgers", slow["lag_p99"], POLL + 1.0, at_most=True, unit="s"),
            Target("resident set, last quarter : first quarter, PostgreSQL", _growth(fast), 1.2, at_most=True),
            Target("resident set, last quarter : first quarter, SQLite", _growth(light), 1.2, at_most=True),
        ),
    )


def _growth(series: Series) -> float:
    return series.median("rss_late") / max(series.median("rss_early"), 1)


def _at_once(kind: str, count: int, url: str, before: Callable[[], None], server: Server | None) -> Case:
    stream = stream_of(count)
    command = [sys.executable, str(inputs.HERE / "child_follow.py"), str(stream), url, str(count)]
    return Case(
        f"{kind}, {count:,} as fast as they go",
        command,
        count,
        "ledgers",
        before=before,
        around=None if server is None else lambda: {"server_cpu": server.cpu_seconds()},
        environment=inputs.PYTHON_PATH,
    )


def _paced(server: Server) -> Case:
    stream = inputs.SCRATCH / "paced.xdr"
    words = [str(stream), server.url(_DATABASE), str(PACED), "--pace", str(PACE), "--poll-interval", str(POLL)]
    return Case(
        f"PostgreSQL, one every {PACE:g} s",
        [sys.executable, str(inputs.HERE / "child_follow.py"), *words],
        PACED,
        "ledgers",
        before=_fresh_postgres(server),
        around=lambda: {"server_cpu": server.cpu_seconds()},
        environment=inputs.PYTHON_PATH,
    )


def _fresh_postgres(server: Server) -> Callable[[], None]:
    def fresh() -> None:
        server.recreate(_DATABASE)
        build_followed_state(server.url(_DATABASE))

    return fresh


def _sqlite(name: str) -> tuple[str, Callable[[], None]]:
    folder = inputs.SCRATCH / f"follow-{name}"

    def fresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        build_followed_state(f"sqlite:///{folder}/state.db")

    return f"sqlite:///{folder}/state.db", fresh


def build_followed_state(url: str) -> None:
    """Make the state that the ledgers follow on."""
    from aurora_ingest import cli

    inputs.migrate(url)
    words = ["build-state", *NETWORK_FLAGS, "--history-archive-url", str(ARCHIVE), "--checkpoint", str(CHECKPOINT)]
    folder = Path(inputs.SCRATCH) / "follow-work"
    if cli.run([*words, "--db-url", url, "--work-dir", str(folder), "--log-level", "warning"]) != 0:
        raise RuntimeError(f"the state at {CHECKPOINT} could not be built in {url}")
