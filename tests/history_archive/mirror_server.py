"""HTTP mirrors of the sample archive that misbehave as told, and a clock that only waiting moves."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.network import STANDALONE

ARCHIVE = Path(__file__).parents[1] / "data" / "standalone-accel"
NETWORK = STANDALONE.with_checkpoint_frequency(8)
NOW = 1_700_000_000.0

Manner = Callable[["Handler", Path], None]


class Mirror(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True

    def __init__(self, *manners: Manner) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.manners = list(manners)
        self.asked: list[str] = []
        self.ranges: list[str | None] = []
        self.agents: set[str] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Mirror
    protocol_version = "HTTP/1.0"  # one answer per connection, so that none is left open

    def do_GET(self) -> None:
        self.server.asked.append(self.path.lstrip("/"))
        self.server.ranges.append(self.headers.get("Range"))
        self.server.agents.add(self.headers["User-Agent"])
        # The last manner stays.
        manner = self.server.manners[0] if len(self.server.manners) == 1 else self.server.manners.pop(0)
        path = ARCHIVE / self.path.lstrip("/")
        if path.is_file():
            manner(self, path)
        else:
            self.answer(404)

    def answer(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing."""


def good(handler: Handler, path: Path) -> None:
    handler.answer(200, path.read_bytes())


def answers(status: int, **headers: str) -> Manner:
    return lambda handler, path: handler.answer(status, b"sorry", None, **headers)


def serves(body: bytes) -> Manner:
    return lambda handler, path: handler.answer(200, body)


def cut(handler: Handler, path: Path) -> None:
    data = path.read_bytes()
    handler.answer(200, data[: len(data) // 2], len(data))


def cut_silently(handler: Handler, path: Path) -> None:
    data = path.read_bytes()
    handler.answer(200, data[: len(data) // 2])


def endless(handler: Handler, path: Path) -> None:
    handler.answer(200, bytes(2 << 20))


def hang_up(handler: Handler, path: Path) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(*manners: Manner | tuple[Manner, ...]) -> Iterator[list[Mirror]]:
    servers = [Mirror(*(manner if isinstance(manner, tuple) else (manner,))) for manner in manners]
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield servers
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def policy(self, rounds: int = 3, total_wait: float = 600.0, **other: float) -> RetryPolicy:
        return RetryPolicy(
            rounds=rounds,
            total_wait=total_wait,
            sleep=self.sleep,
            clock=lambda: self.now,
            wall_clock=lambda: NOW + self.now,
            chance=lambda: 1.0,
            **other,
        )


def archive_of(servers: list[Mirror], time: Time, **policy: float) -> HistoryArchive:
    return HistoryArchive([server.url for server in servers], NETWORK, retry=time.policy(**policy))  # type: ignore[arg-type]
