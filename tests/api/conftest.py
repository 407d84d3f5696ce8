"""The repository's own network, served from either kind of database, with most of its history."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

import closed_network
from api.horizon_documents import HorizonDocuments, horizon_documents
from api.live_entries import closing_times, live_entries
from api.served import served
from aurora_ingest import cli

CHECKPOINT = 95
HISTORY = 80
"""Last ledger of history: of what changed later, nobody knows when."""


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def state_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a database with the state of ledger 95 and ledgers 2 to 80."""
    if request.param == "sqlite":
        yield _filled(f"sqlite:///{tmp_path_factory.mktemp('state')}/state.db")
        return
    with _database(request.getfixturevalue("postgres_server")) as url:
        yield _filled(url)


@pytest.fixture(scope="session")
def state_service(state_url: str) -> Iterator[str]:
    """The address of the service over it."""
    with served(state_url) as address:
        yield address


@pytest.fixture(scope="session")
def expected(state_service: str) -> HorizonDocuments:
    """Every document that the service has to give of that state."""
    archive = closed_network.ARCHIVE
    times = {
        ledger: time
        for ledger, time in closing_times(archive, range(7, CHECKPOINT + 1, 8)).items()
        if 2 <= ledger <= HISTORY
    }
    entries = live_entries(archive, CHECKPOINT)
    return horizon_documents(entries, closed_network.NETWORK.passphrase, times, state_service)


def _filled(url: str) -> str:
    closed_network.state_at(url, CHECKPOINT).dispose()
    reingest = ["reingest-range", "--network", "standalone", "--ledgers", str(closed_network.STREAM)]
    span = ["--from", "2", "--to", str(HISTORY), "--db-url", url, "--log-level", "warning"]
    assert cli.run([*reingest, *span]) == 0
    return url


@contextmanager
def _database(server: str) -> Iterator[str]:
    """A new, empty database, dropped at the end of the block."""
    name = f"served_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # a name of our own making
        try:
            yield f"{server}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
