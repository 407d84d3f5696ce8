"""`reingest-range` of long lakes into PostgreSQL and Parquet, beside the figures of Horizon and stellar-etl."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import inputs
from bench_postgres import all_in_cpu
from make_lake import MadeLake, write_lake
from measure import Case, interleave
from postgres_server import Server, private_server
from report import Suite, Target

NAME = "history"
HORIZON_TABLES = "history_ledgers,history_transactions,history_operations"
HORIZON_PUBNET = 8.9
"""MB of LedgerCloseMeta per CPU second, Horizon and its server together, one worker; design/baselines.md §4."""
HORIZON_LOADTEST = 12.8
ETL_PUBNET = 267.6 / 99
"""MB per CPU second of all nine stellar-etl commands over pubnet-rep; design/baselines.md §5."""
PEAK_MB = 500
_DATABASE = "bench_history"
_LAKES = {
    "pubnet-rep": ("pubnet-30822015-30822025", "pubnet", 30_848_000, 1280),
    "loadtest-rep": ("loadtest-10048-10077", "load-test", 64_000, 256),
}


def lake(name: str) -> MadeLake:
    """Return one of the long lakes, made on the first call and kept.

    Raises:
        FileNotFoundError: the shared data are not there.
    """
    source, _, first, count = _LAKES[name]
    return kept_lake(name, source, first, count)


def kept_lake(name: str, source: str, first: int, count: int) -> MadeLake:
    """Return a lake of `count` ledgers that repeats one of the shared data's, made on the first call and kept.

    Raises:
        FileNotFoundError: the shared data are not there.
    """
    folder, stamp = inputs.SCRATCH / name, inputs.SCRATCH / f"{name}.generator"
    current = hashlib.sha256((inputs.HERE / "make_lake.py").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != current:
        shutil.rmtree(folder, ignore_errors=True)
        write_lake(inputs.SHARED_DATA / "lakes" / source, folder, first, count)
        stamp.write_text(current)
    return MadeLake.load(folder)


def command(name: str, *words: str, last: int | None = None) -> list[str]:
    """Return the command line of a reingest of a lake, or of its first ledgers."""
    made = lake(name)
    span = ["--from", str(made.first), "--to", str(last or made.last), "--chunk-ledgers", "100"]
    start = [sys.executable, "-m", "aurora_ingest", "reingest-range", "--log-level", "warning", "--json"]
    return [*start, "--network", _LAKES[name][1], "--ledgers", made.url, *span, *words]


def run(_entries: int, rounds: int) -> Suite:
    """Measure both lakes into both targets; the number of entries has no meaning here."""
    rounds = min(rounds, 3)
    with private_server() as server:
        series = interleave([*_into_postgres(server), *_into_parquet()], rounds)
        version = server.version
    by_name = {each.case: each for each in series}
    three, every, parquet = ("{}, 3 tables, PostgreSQL", "{}, 5 tables, PostgreSQL", "{}, 5 tables, Parquet")
    targets = []
    for name, horizon in (("pubnet-rep", HORIZON_PUBNET), ("loadtest-rep", HORIZON_LOADTEST)):
        for shape, tables in ((three, "its three tables"), (every, "five tables")):
            one = by_name[shape.format(name)]
            text = f"{name}: MB per CPU second all-in, {tables}; wanted what is quoted of Horizon"
            targets.append(Target(text, one.work / 1e6 / all_in_cpu(one), horizon, unit="MB/s"))
        text = f"{name}: MB per CPU second to Parquet; wanted 10 times what is quoted of stellar-etl on pubnet-rep"
        reached = by_name[parquet.format(name)].rate("cpu") / 1e6
        targets.append(Target(text, reached, 10 * ETL_PUBNET, unit="MB/s"))
    for workers, chosen in (("one worker", False), ("two workers", True)):
        peaks = [run.peak_rss for each in series for run in each.runs if ("2 workers" in each.case) == chosen]
        targets.append(Target(f"peak memory of any run, {workers}", max(peaks) / 1e6, PEAK_MB, at_most=True, unit="MB"))
    whole, part = (by_name[parquet.format("pubnet-rep") + end].median("peak_rss") for end in ("", ", a quarter of it"))
    targets.append(Target("peak memory of pubnet-rep : of a quarter of it", whole / part, 1.2, at_most=True))
    return Suite(
        NAME,
        "reingest-range of 267.6 MB of pubnet ledgers and 302.9 MB of a load test, bytes of LedgerCloseMeta XDR",
        tuple(series),
        (
            f"PostgreSQL {version}, shared_buffers 512 MB, otherwise as installed, on the same cores as the client.",
            "Server CPU s: "
            + "; ".join(
                f"{each.case} {each.median('server_cpu'):.1f}" for each in series if "server_cpu" in each.runs[0].said
            )
            + ".",
            (
                "3 tables: history_ledgers, history_transactions, history_operations (no details, the operation's XDR "
                "instead). Horizon writes these and effects, trades, participants, claimable balance and pool links; "
                "5 tables: ours, with history_contract_events and ledger_entry_changes (pre, post and JSON), which "
                "Horizon does not write. stellar-etl's figure is that of its nine commands, each of which decodes the "
                "lake anew."
            ),
            "Horizon's and stellar-etl's figures are quoted from design/baselines.md §4 and §5, not run here.",
            "Whole process, start-up included; CPU of `wall` and `CPU` columns is the client's.",
        ),
        tuple(targets),
    )


def _into_postgres(server: Server) -> list[Case]:
    url = server.url(_DATABASE)

    def empty_database() -> None:
        server.recreate(_DATABASE)
        inputs.migrate(url)

    def case(title: str, name: str, *words: str) -> Case:
        return Case(
            f"{name}, {title}",
            command(name, "--db-url", url, *words),
            lake(name).raw_bytes,
            "bytes",
            before=empty_database,
            around=lambda: {"server_cpu": server.cpu_seconds()},
            environment=inputs.PYTHON_PATH,
        )

    cases = []
    for name in _LAKES:
        cases.append(case("3 tables, PostgreSQL", name, "--tables", HORIZON_TABLES))
        cases.append(case("5 tables, PostgreSQL", name))
        cases.append(case("5 tables, PostgreSQL, 2 workers", name, "--workers", "2"))
    return cases


def _into_parquet() -> list[Case]:
    folder = inputs.SCRATCH / "history-parquet"

    def case(title: str, name: str, *words: str, part: int = 1) -> Case:
        made = lake(name)
        last = made.first + (made.last - made.first + 1) // part - 1
        return Case(
            f"{name}, {title}",
            command(name, "--parquet", str(folder), *words, last=last),
            made.raw_bytes // part,
            "bytes",
            before=_without(folder),
            environment=inputs.PYTHON_PATH,
        )

    cases = [case("5 tables, Parquet", name) for name in _LAKES]
    cases += [case("5 tables, Parquet, 2 workers", name, "--workers", "2") for name in _LAKES]
    return [*cases, case("5 tables, Parquet, a quarter of it", "pubnet-rep", part=4)]


def _without(folder: Path) -> Callable[[], None]:
    return lambda: shutil.rmtree(folder, ignore_errors=True)
