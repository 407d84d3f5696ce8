"""Flink for tests: one embedded process for ordinary ones, a standalone cluster for those that kill parts of it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from make_archive import WrittenArchive, write_synthetic_archive

import flink_batches as batches
from aurora_ingest.db import schema
from aurora_ingest.db.engine import connect
from aurora_ingest.runners import launch
from aurora_ingest.runners.flink import cluster as flink
from aurora_ingest.runners.flink import doctor
from aurora_ingest.runners.flink.cluster import Cluster
from aurora_ingest.runners.flink.settings import ClusterSettings, default_flink_dir
from flink_batches import Left

_ANY: dict[str, Any] = {"rest_port": 0, "job_port": 0, "artifact_port": 0, "rpc_port": 0}


@pytest.fixture(scope="session")
def flink_programs() -> None:
    """Skips where Flink cannot run; in CI that is a failure."""
    missing = [check.advice for check in doctor.examine(default_flink_dir(), ClusterSettings(**_ANY)) if not check.ok]
    if missing:
        if os.environ.get("CI"):
            pytest.fail("; ".join(missing))
        pytest.skip("; ".join(missing))


@pytest.fixture(scope="session")
def flink_embedded(flink_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One process that is job server and Flink at once, and a pool of Python workers; one job at a time."""
    with _running(
        tmp_path_factory.mktemp("flink-embedded"), ClusterSettings(embedded=True, pool_port=0, **_ANY)
    ) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def flink_standalone(flink_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of `flink_cluster`, as it was when it started."""
    settings = ClusterSettings(prometheus_port=0, **_ANY)
    with _running(tmp_path_factory.mktemp("flink-cluster"), settings) as cluster:
        yield cluster
        assert all(process.alive for process in flink.running(cluster.folder).processes)


@pytest.fixture
def flink_cluster(flink_standalone: Cluster) -> Cluster:
    """A standalone cluster with two task managers. Who kills a process of it starts it again (`Cluster.restart`)."""
    return flink.running(flink_standalone.folder)  # with the processes that earlier tests have started anew


@contextmanager
def _running(folder: Path, settings: ClusterSettings) -> Iterator[Cluster]:
    """A cluster for the time of a block."""
    try:
        yield flink.up(folder, settings, patience=300)
    finally:
        flink.down(folder)


@pytest.fixture(scope="session")
def new_database(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Makes databases with our schema; all of them are dropped at the end."""
    names: list[str] = []
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:

        def new() -> str:
            names.append(f"flink_{uuid.uuid4().hex[:16]}")
            connection.execute(f"CREATE DATABASE {names[-1]}")  # type: ignore[arg-type]  # a name of our own making
            engine = connect(f"{postgres_server}/{names[-1]}")
            schema.migrate(engine)
            engine.dispose()
            return f"{postgres_server}/{names[-1]}"

        yield new
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def history_lake(shared_data: Path) -> Path:
    """The ledgers that `batches.reingest` reads."""
    return shared_data / "lakes" / batches.LAKE


@pytest.fixture(scope="session")
def small_archive(tmp_path_factory: pytest.TempPathFactory) -> WrittenArchive:
    """The archive that `batches.build` reads."""
    return write_synthetic_archive(tmp_path_factory.mktemp("archive"), 6000, seed=7)


@pytest.fixture(scope="session")
def expected_history(
    history_lake: Path, new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Left:
    """What a reingest leaves that ran in this process."""
    folder = tmp_path_factory.mktemp("history")
    return batches.reingest(history_lake, launch.choose_engine([]), folder, new_database())


@pytest.fixture(scope="session")
def expected_state(
    small_archive: WrittenArchive, new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Left:
    """What a state build leaves that ran in this process."""
    folder = tmp_path_factory.mktemp("state")
    return batches.build(small_archive, launch.choose_engine([]), folder, new_database())


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Waits until a condition holds, and says what it was when it does not."""

    def wait(what: str, condition: Callable[[], object], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
            time.sleep(0.02)

    return wait
