"""A small HTTP server beside a following node: ``/metrics`` for Prometheus, ``/health`` for whoever watches it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from aurora_ingest.errors import UsageError

Health = Callable[[], tuple[bool, Mapping[str, Any]]]
"""Tells whether a node is well, and the facts."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    registry: CollectorRegistry
    health: Health


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        elif self.path == "/health":
            is_well, facts = self.server.health()
            status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "application/json", json.dumps(facts).encode() + b"\n")
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there are /metrics and /health\n")

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing: scrapes come every few seconds."""


@contextmanager
def serving(port: int, registry: CollectorRegistry, health: Health, host: str = "127.0.0.1") -> Iterator[int]:
    """Serves for the time of a block.

    Args:
        port: 0 takes any that is free.
        registry: what ``/metrics`` gives.
        health: what ``/health`` gives, 200 or 503.
        host: address to listen at.

    Yields:
        The port.

    Raises:
        UsageError: the port is taken.
    """
    try:
        server = _Server((host, port), _Handler)
    except OSError as error:
        raise UsageError(f"--metrics-port {port}: cannot listen at {host}: {error.strerror}") from error
    server.registry, server.health = registry, health
    thread = threading.Thread(target=server.serve_forever, name="node-server", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
