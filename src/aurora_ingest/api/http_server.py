"""Running the service: uvicorn, a socket of ours, and an end that lets requests finish."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import uvicorn

from aurora_ingest.api.app import create_app
from aurora_ingest.api.serve_options import ServeOptions
from aurora_ingest.db import schema
from aurora_ingest.db.reader import connect_reader
from aurora_ingest.errors import UsageError

_GRACE_SECONDS: Final = 5
_IDLE_SECONDS: Final = 65
_BACKLOG: Final = 1024


def check_database(options: ServeOptions) -> None:
    """Sees whether the database answers and has a schema of this version, before anything is opened.

    Raises:
        UsageError: no such kind of database.
        DatabaseError: it does not answer.
        MigrationError: its schema is another one.
    """
    engine = connect_reader(options.db_url, connections=1, statement_seconds=options.statement_seconds)
    try:
        schema.require(engine)
    finally:
        engine.dispose()


def listening(host: str, port: int) -> socket.socket:
    """Opens the service's socket; connections wait in it until the service runs.

    Args:
        host: name or address to listen at.
        port: 0 takes any that is free.

    Raises:
        UsageError: the port is taken, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise UsageError(f"--port {port}: cannot listen at {host}: {error.strerror}") from error
    return listener


def make_server(options: ServeOptions) -> ServiceServer:
    """Makes a server for one process; `run(sockets=[…])` serves until it is told to end."""
    config = uvicorn.Config(
        create_app(options),
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=_IDLE_SECONDS,
    )
    return ServiceServer(config)


class ServiceServer(uvicorn.Server):
    """uvicorn's server, but a signal is an end like any other: it returns, and the exit code is the caller's."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Has streams say goodbye before it waits for connections to end."""
        service = getattr(self.config.loaded_app.app.state, "service", None)
        if service is not None:
            service.watch.end()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ends on SIGTERM and SIGINT while the block runs: requests under way are finished, at the second at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._told) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
