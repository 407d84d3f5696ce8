"""A PostgreSQL server of the benchmark's own: 512 MB of shared buffers, everything else as installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

SETTINGS = "-c shared_buffers=512MB -c listen_addresses=127.0.0.1"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        port: on the loopback address.
        pid: of its first process.
        version: as it names itself.
    """

    port: int
    pid: int
    version: str

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def recreate(self, database: str) -> None:
        """Drop a database and create it anew, then write everything out so that the next run starts from rest."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {database}")
            connection.execute("CHECKPOINT")

    def cpu_seconds(self) -> float:
        """Return user and system seconds of all server processes so far, ended ones included.

        A backend that ends is waited for by the first process and counts in its children's time.
        """
        ticks = 0
        for pid in [self.pid, *_children(self.pid)]:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended between listing and reading; its time is now in the first process's
            own, of_children = fields[11:13], fields[13:15]
            ticks += sum(map(int, own)) + (sum(map(int, of_children)) if pid == self.pid else 0)
        return ticks / _TICKS


def _children(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in text.split()]


@contextmanager
def private_server() -> Iterator[Server]:
    """Start a server with a new cluster in a scratch folder; stop and remove it at the end.

    Raises:
        FileNotFoundError: PostgreSQL's server programs are not installed.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    if not programs:
        raise FileNotFoundError("/usr/lib/postgresql/*/bin is not there: install the package postgresql")
    folder = Path(tempfile.mkdtemp(prefix="aurora-bench-postgres-"))
    as_owner: list[str] = []
    if os.getuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_owner = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    data = folder / "data"
    pg_ctl = [*as_owner, str(programs[-1] / "pg_ctl"), "-D", str(data), "-w"]
    try:
        initdb = [*as_owner, str(programs[-1] / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"]
        subprocess.run([*initdb, "-E", "UTF8", "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        start = [*pg_ctl, "-o", f"-p {port} -k {folder} {SETTINGS}", "-l", str(folder / "log"), "start"]
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        try:
            pid = int((data / "postmaster.pid").read_text().splitlines()[0])
            with psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres") as connection:
                row = connection.execute("SHOW server_version").fetchone()
            yield Server(port, pid, row[0] if row else "unknown")
        finally:
            subprocess.run([*pg_ctl, "-m", "fast", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
