"""Mirrors over http: each misbehaves in its own way, and the file comes from whoever has it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aurora_ingest.errors import ArchiveError, ArchiveFileMissingError
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.network import STANDALONE

_ARCHIVE = Path(__file__).parents[1] / "data" / "standalone-accel"
_NETWORK = STANDALONE.with_checkpoint_frequency(8)


class _Mirror(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, manner: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.manner = manner
        self.asked = 0
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Mirror

    def do_HEAD(self) -> None:
        self.send_error(404)

    def do_GET(self) -> None:
        self.server.asked += 1
        path = _ARCHIVE / self.path.lstrip("/")
        manner = self.server.manner
        if manner == "missing" or not path.is_file():
            self.send_error(404)
        elif manner == "down":
            self.send_error(503)
        elif manner == "busy once" and self.server.asked == 1:
            self.send_response(429)
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif manner == "page":
            self._send(b"<!DOCTYPE html><html>sign in</html>")
        elif manner == "cut":
            self._send(path.read_bytes()[:-9], length=path.stat().st_size)
        elif manner == "damaged" and path.suffix == ".gz":
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            self._send(bytes(data))
        else:
            self._send(path.read_bytes())

    def _send(self, body: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing."""


@contextmanager
def _mirrors(*manners: str) -> Iterator[list[_Mirror]]:
    servers = [_Mirror(manner) for manner in manners]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield servers
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def _archive(servers: list[_Mirror], waits: list[float], cache: Path | None = None) -> HistoryArchive:
    policy = RetryPolicy(rounds=3, sleep=waits.append, chance=lambda: 1.0, read_timeout=5.0)
    return HistoryArchive([server.url for server in servers], _NETWORK, cache, policy)


@pytest.mark.parametrize("manner", ["missing", "down", "page", "cut", "damaged"])
def test_a_good_mirror_is_asked_at_once(manner: str, tmp_path: Path) -> None:
    waits: list[float] = []
    with _mirrors(manner, "good") as servers:
        archive = _archive(servers, waits, tmp_path)
        verified = archive.verify_checkpoint(95)
        for name in verified.live_buckets:
            with archive.open_bucket(name) as bucket:
                assert bucket.read(2) == b"\x1f\x8b"
    assert verified.protocol_version == 19
    assert len(verified.live_buckets) == 7
    assert waits == []


def test_a_mirror_that_asks_for_time_is_given_it() -> None:
    waits: list[float] = []
    with _mirrors("busy once") as servers:
        assert _archive(servers, waits).root_state().current_ledger == 95
        assert servers[0].asked == 2
    assert waits
    assert sum(waits) == pytest.approx(7.0, abs=0.5)


def test_a_mirror_that_is_down_is_asked_again_after_growing_waits() -> None:
    waits: list[float] = []
    with _mirrors("down") as servers:
        with pytest.raises(ArchiveError, match="503") as caught:
            _archive(servers, waits).root_state()
        assert servers[0].asked == 3
        assert servers[0].url in str(caught.value)
    assert len(waits) == 2
    assert waits[1] > waits[0]


def test_a_file_that_nobody_has_is_not_asked_for_twice() -> None:
    waits: list[float] = []
    with _mirrors("missing", "missing") as servers:
        with pytest.raises(ArchiveFileMissingError) as caught:
            _archive(servers, waits).root_state()
        assert [server.asked for server in servers] == [1, 1]
        assert all(server.url in str(caught.value) for server in servers)
    assert waits == []


def test_a_cached_bucket_is_not_asked_for_again(tmp_path: Path) -> None:
    with _mirrors("good") as servers:
        archive = _archive(servers, [], tmp_path)
        names = archive.verify_checkpoint(95).live_buckets
        archive.prefetch(names)
        asked = servers[0].asked
        archive.prefetch(names)
        with archive.open_bucket(names[0]) as bucket:
            bucket.read(10)
        assert servers[0].asked == asked
