"""A PostgreSQL server that a test may restart, and a network that it may hold up."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

_SETTINGS: Final = "-c listen_addresses=127.0.0.1 -c fsync=off -c shared_buffers=64MB -c max_connections=60"


class RestartedServer:
    """A server of the test's own.

    Attributes:
        port: on the loopback address.
    """

    def __init__(self, folder: Path, pg_ctl: list[str], port: int) -> None:
        self.port = port
        self._folder = folder
        self._pg_ctl = pg_ctl

    @property
    def url(self) -> str:
        """Its address, without a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options = f"-p {self.port} -k {self._folder} {_SETTINGS}"
        self._control("-o", options, "-l", str(self._folder / "log"), "start")

    def stop(self, mode: str = "fast") -> None:
        """Stops it: `fast` ends every session, as an administrator's restart does."""
        self._control("-m", mode, "stop")

    def _control(self, *words: str) -> None:
        subprocess.run([*self._pg_ctl, *words], check=True, stdout=subprocess.DEVNULL, cwd=self._folder)


@contextmanager
def restarted_server() -> Iterator[RestartedServer]:
    """A new server, removed with the block; the test is skipped where the programs are missing, but not in CI."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    on_path = shutil.which("initdb")
    if not installed and on_path is None:
        message = "PostgreSQL's server programs are not installed; `make postgres` says how"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    programs = installed[-1] if installed else Path(str(on_path)).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="aurora-postgres-"))
    as_owner: list[str] = []
    if os.getuid() == 0:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        as_owner = ["runuser", "-u", "postgres", "--"]
    data = str(folder / "data")
    server = RestartedServer(folder, [*as_owner, str(programs / "pg_ctl"), "-D", data, "-w"], free_port())
    initdb = [*as_owner, str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N"]
    try:
        subprocess.run([*initdb, "--locale=C"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Proxy:
    """Passes TCP connections on to a port of this machine, byte by byte, and holds everything up when told to.

    Attributes:
        port: where it listens.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def pause(self) -> None:
        """Nothing passes any more; connections stay open, as when a cable is pulled."""
        self._flows.clear()

    def resume(self) -> None:
        """What was held up passes."""
        self._flows.set()

    def close(self) -> None:
        """Takes no more connections."""
        self._flows.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                target.sendall(data)
        self._flows.wait()
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
