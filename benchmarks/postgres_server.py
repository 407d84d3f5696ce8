"""A PostgreSQL server of one's own, for benchmarks and for tests: it can be stopped, started and measured."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

SETTINGS = "-c shared_buffers=512MB -c listen_addresses=127.0.0.1"
"""Of benchmarks: 512 MB of shared buffers, everything else as installed."""

_CLUSTER = ("--locale=C.UTF-8",)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server in a folder of its own.

    Attributes:
        port: on the loopback address.
        folder: everything of it.
        pg_ctl: the program that controls it, with what comes first.
        settings: what the server is started with.
    """

    port: int
    folder: Path
    pg_ctl: tuple[str, ...]
    settings: str

    @property
    def address(self) -> str:
        """The URL without a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}"

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"{self.address}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} {self.settings}"
        self._control("-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends every session, as an administrator's restart does."""
        self._control("-m", mode, "stop")

    def _control(self, *words: str) -> None:
        subprocess.run([*self.pg_ctl, *words], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    @property
    def version(self) -> str:
        """As it names itself."""
        with psycopg.connect(self.url("postgres")) as connection:
            row = connection.execute("SHOW server_version").fetchone()
        return row[0] if row else "unknown"

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
        first = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        ticks = 0
        for pid in [first, *_children(first)]:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended between listing and reading; its time is now in the first process's
            own, of_children = fields[11:13], fields[13:15]
            ticks += sum(map(int, own)) + (sum(map(int, of_children)) if pid == first else 0)
        return ticks / _TICKS


def _children(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in text.split()]


@contextmanager
def private_server(settings: str = SETTINGS, cluster: Sequence[str] = _CLUSTER) -> Iterator[Server]:
    """Start a server with a new cluster in a scratch folder; stop and remove it at the end.

    Args:
        settings: flags of the server.
        cluster: flags of initdb.

    Raises:
        FileNotFoundError: PostgreSQL's server programs are not installed.
    """
    programs = _programs()
    # Not below folders that only this user may enter: root's server runs as another one.
    folder = Path(tempfile.mkdtemp(prefix="aurora-postgres-"))
    as_owner = _as_owner(folder)
    data = ("-D", str(folder / "data"))
    server = Server(free_port(), folder, (*as_owner, str(programs / "pg_ctl"), *data, "-w"), settings)
    initdb = [*as_owner, str(programs / "initdb"), *data, "-A", "trust", "-U", "postgres", "-E", "UTF8", *cluster]
    try:
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _programs() -> Path:
    """Find the newest server's folder; Debian keeps the programs outside PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if installed:
        return installed[-1].parent
    if on_path is None:
        raise FileNotFoundError("PostgreSQL's server programs are not installed; `make postgres` installs them")
    return Path(on_path).resolve().parent


def _as_owner(folder: Path) -> tuple[str, ...]:
    """Give the folder to the user who runs the server, which root may not, and return how to act as that user."""
    if os.getuid() != 0:
        return ()
    owner = pwd.getpwnam("postgres")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return ("runuser", "-u", "postgres", "--")
