"""What every test may ask for: the peers' data, a database of its own on a PostgreSQL server, patient properties."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest

from quick_postgres import quick_server

_ROOT = Path(__file__).parents[1]

hypothesis.settings.register_profile(
    "aurora",
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("aurora")


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A command line configures the log of the process; each test gives it back as it was."""
    root, ours = logging.getLogger(), logging.getLogger("aurora_ingest")
    before = (list(root.handlers), root.level, ours.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the peers' data and our own networks'; it lies beside the repository, not in it."""
    folder = _ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"the peers' data are not at {folder}, and CI has to have them")
        pytest.skip(f"the peers' data are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server, without a database: AURORA_TEST_POSTGRES_URL, or one started for this run."""
    given = os.environ.get("AURORA_TEST_POSTGRES_URL")
    if given:
        yield given.rstrip("/")
        return
    with quick_server() as server:
        yield server.address


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of a new, empty database, dropped after the test with whoever is still connected."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # a name of our own making
        try:
            yield f"{postgres_server}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
