"""Running a reingest in this process, and telling what it left: fingerprints of tables, bytes of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.dataset
import sqlalchemy as sa

from aurora_ingest.db import schema
from aurora_ingest.db.engine import connect
from aurora_ingest.db.history_tables import HISTORY_TABLES
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.network import Network
from aurora_ingest.pipelines.options import ReingestOptions
from aurora_ingest.pipelines.reingest_range import ReingestPlan, open_targets, plan_reingest, reingest_range
from aurora_ingest.runners import launch

BOOKS = ("ingest_ledger_counts", "ingest_quarantine")


def reingest(
    network: Network,
    url: str | Path,
    ledgers: tuple[int, int],
    *,
    db_url: str | None = None,
    parquet: Path | None = None,
    **options: Any,
) -> ReingestPlan:
    """Plans and carries out a reingest as the command line does."""
    plan = plan_reingest(
        ReingestOptions(
            network=network,
            ledgers_url=str(url),
            ledgers=LedgerRange(*ledgers),
            db_url=db_url,
            parquet_dir=None if parquet is None else str(parquet),
            **options,
        )
    )
    carry_out(plan)
    return plan


def carry_out(plan: ReingestPlan) -> None:
    flags = launch.worker_flags(launch.choose_engine([]), plan.workers, [])
    with open_targets(plan):
        launch.run(lambda pipeline: reingest_range(pipeline, plan), launch.choose_engine(flags))


def migrated(url: str) -> str:
    engine = connect(url)
    schema.migrate(engine)
    engine.dispose()
    return url


def tables(url: str, names: Iterable[str] = (*HISTORY_TABLES, *BOOKS)) -> dict[str, str]:
    """A fingerprint of every table: of its rows in the order of the primary key."""
    engine = connect(url)
    prints = {}
    with engine.connect() as connection:
        for name in names:
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            rows = connection.exec_driver_sql(
                f"SELECT * FROM {name} ORDER BY {', '.join(column.name for column in table.primary_key)}"
            )
            digest = hashlib.sha256()
            for row in rows:
                digest.update(repr(tuple(row)).encode())
            prints[name] = digest.hexdigest()
    engine.dispose()
    return prints


def files(folder: Path) -> dict[str, str]:
    """The hash of every file that a reader may see, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".history" not in path.parts
    }


def data_files(folder: Path) -> dict[str, str]:
    """`files` without the manifests, which also tell what the rows came from."""
    return {path: digest for path, digest in files(folder).items() if not path.startswith("manifests/")}


def ledgers_in(folder: Path, table: str = "history_ledgers") -> list[int]:
    """The ledgers that a glob over the files of a table finds, each as often as it is there."""
    paths = [str(path) for path in sorted((folder / table).glob("**/*.parquet"))]
    found = pyarrow.dataset.dataset(paths).to_table()
    if table == "history_ledgers":
        sequences: list[int] = found.column("sequence").to_pylist()
        return sequences
    return sorted({number >> 32 for number in found.column("id").to_pylist()})


def ledgers_of(url: str) -> list[int]:
    """The ledgers that a database holds."""
    engine = connect(url)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT sequence FROM history_ledgers ORDER BY 1").scalars().all()
    engine.dispose()
    return list(found)
