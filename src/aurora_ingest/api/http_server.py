"""Running the service: uvicorn, a socket of ours, and an end that lets requests finish."""

from __future__ import annotations

import socket
from typing import Final

import uvicorn

from aurora_ingest.api.app import create_app
from aurora_ingest.api.serve_options import ServeOptions
from aurora_ingest.errors import UsageError

_GRACE_SECONDS: Final = 5
_BACKLOG: Final = 1024


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
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise UsageError(f"--port {port}: cannot listen at {host}: {error.strerror}") from error
    return listener


def make_server(options: ServeOptions) -> uvicorn.Server:
    """Makes a server for one process; `run(sockets=[…])` serves until it is told to end."""
    config = uvicorn.Config(
        create_app(options),
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=65,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Has streams say goodbye before the server waits for its connections to end."""
        service = getattr(self.config.loaded_app.app.state, "service", None)
        if service is not None:
            service.watch.end()
        await super().shutdown(sockets)
