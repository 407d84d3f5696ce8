"""Batches that are run on one engine after the other: what they read, and what they leave in files and tables."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from make_archive import WrittenArchive

import aurora_ingest
from aurora_ingest.db.engine import connect
from aurora_ingest.db.history_tables import HISTORY_TABLES
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.network import TESTNET, Network
from aurora_ingest.pipelines import build_state, reingest_range
from aurora_ingest.pipelines.options import BuildStateOptions, ReingestOptions
from aurora_ingest.runners import launch
from aurora_ingest.runners.flink.cluster import Cluster
from aurora_ingest.runners.launch import Engine
from aurora_ingest.transforms.build_plan import SplitRule, StateBuildPlan

LAKE = "testnet-1410048-1410303"
FIRST, LAST, CHUNK = 1_410_048, 1_410_111, 8

_SMALL = SplitRule(segment_records=128, segments_per_range=4, partitions=3)
_BOOKS = ("ingest_ledger_counts", "ingest_quarantine")


@dataclass(frozen=True)
class Left:
    """What a batch leaves.

    Attributes:
        files: hash of every file that a reader may see, by its path.
        tables: hash of every table's rows in the order of the primary key, by its name.
    """

    files: dict[str, str]
    tables: dict[str, str]


def reingest(lake: Path, engine: Engine, folder: Path, db_url: str | None) -> Left:
    """Reingests a range of testnet, in eight chunks."""
    plan = reingest_range.plan_reingest(
        ReingestOptions(
            network=TESTNET,
            ledgers_url=str(lake),
            ledgers=LedgerRange(FIRST, LAST),
            db_url=db_url,
            parquet_dir=str(folder),
            chunk_ledgers=CHUNK,
        )
    )
    with reingest_range.open_targets(plan):
        launch.run(lambda pipeline: reingest_range.reingest_range(pipeline, plan), engine)
    return left(folder, db_url, (*HISTORY_TABLES, *_BOOKS))


def build(archive: WrittenArchive, engine: Engine, folder: Path, db_url: str | None) -> Left:
    """Builds the state of a small synthetic archive, spread over key ranges."""
    plan = planned_build(archive, folder, db_url)
    launch.run(lambda pipeline: build_state.build_state(pipeline, plan), engine)
    return left(folder, db_url, plan.tables)


def planned_build(archive: WrittenArchive, folder: Path, db_url: str | None, *, resume: bool = False) -> StateBuildPlan:
    """Opens a build in its targets."""
    options = BuildStateOptions(
        network=Network(archive.passphrase),
        archive_urls=(archive.url,),
        checkpoint=archive.checkpoint,
        db_url=db_url,
        parquet_dir=str(folder),
        work_dir=str(folder / ".work"),
        spread=True,
        resume=resume,
    )
    plan = dataclasses.replace(build_state.plan_state_build(options), split=_SMALL)
    return build_state.open_sinks(plan)


def left(folder: Path, db_url: str | None, names: Iterable[str]) -> Left:
    """Reads what is there."""
    hidden = {".history", ".work"}
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not hidden & set(path.parts)]
    files = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return Left(files, {} if db_url is None else _tables(db_url, names))


def _tables(db_url: str, names: Iterable[str]) -> dict[str, str]:
    engine = connect(db_url)
    prints = {}
    with engine.connect() as connection:
        for name in names:
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            key = ", ".join(column.name for column in table.primary_key)
            digest = hashlib.sha256()
            for row in connection.exec_driver_sql(f"SELECT * FROM {name} ORDER BY {key}"):
                digest.update(repr(tuple(row)).encode())
            prints[name] = digest.hexdigest()
    engine.dispose()
    return prints


def on_flink(cluster: Cluster, parallelism: int) -> Engine:
    """Names a cluster's Flink as the command line does."""
    choice = launch.EngineChoice(launch.FLINK, parallelism=parallelism, flink_dir=cluster.folder)
    return launch.choose_engine([], choice)


def command(*words: str) -> list[str]:
    """Returns a command line of aurora-ingest."""
    return [sys.executable, "-m", "aurora_ingest", *words]


def reingest_command(lake: Path, folder: Path, *words: str, last: int = LAST, chunk: int = CHUNK) -> list[str]:
    """Returns the command line of a reingest of testnet; `words` may end with ``--`` and Beam's flags."""
    span = ["--from", str(FIRST), "--to", str(last), "--chunk-ledgers", str(chunk)]
    source = ["--network", "testnet", "--ledgers", str(lake), "--parquet", str(folder)]
    return command("reingest-range", *source, *span, *words)


def environment() -> dict[str, str]:
    """Returns the environment of a command that finds this tree."""
    return {**os.environ, "PYTHONPATH": str(Path(aurora_ingest.__file__).parents[1])}


def carried_out(words: list[str], seconds: float = 600) -> subprocess.CompletedProcess[str]:
    """Runs a command line to its end."""
    return subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=seconds, check=False)


def kill_workers(cluster: Cluster) -> int:
    """Kills all Python workers of a cluster and returns how many that were; some end with another's death."""
    killed = 0
    for pid in cluster.workers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed += 1
    return killed
