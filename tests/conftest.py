"""What every test may ask for: the peers' data, a database of its own on a PostgreSQL server, patient properties."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest

_ROOT = Path(__file__).parents[1]
_SETTINGS = "-c listen_addresses=127.0.0.1 -c fsync=off -c shared_buffers=64MB -c max_connections=60"

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
    programs = _server_programs()
    # Not below pytest's folders, which only this user may enter; the server may run as another one.
    folder = Path(tempfile.mkdtemp(prefix="aurora-postgres-"))
    as_owner = _as_owner(folder)
    data = folder / "data"
    port = _free_port()
    initdb = [*as_owner, str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N"]
    pg_ctl = [*as_owner, str(programs / "pg_ctl"), "-D", str(data), "-w"]
    try:
        subprocess.run([*initdb, "--locale=C"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        options = f"-p {port} -k {folder} {_SETTINGS}"
        start = [*pg_ctl, "-o", options, "-l", str(folder / "log"), "start"]
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}"
        finally:
            subprocess.run([*pg_ctl, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def _server_programs() -> Path:
    """Finds the newest server's folder; Debian keeps the programs outside PATH."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not installed:
        message = "PostgreSQL's server programs are not installed; `make postgres` says how"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return installed[-1].parent


def _as_owner(folder: Path) -> list[str]:
    """Gives the folder to the user who runs the server, which root may not, and returns how to act as that user."""
    if os.getuid() != 0:
        return []
    owner = pwd.getpwnam("postgres")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return ["runuser", "-u", "postgres", "--"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
