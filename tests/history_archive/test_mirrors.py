"""Several mirrors over http, each with a fault of its own: who is asked next, after which wait, and what is said."""

from __future__ import annotations

import hashlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aurora_ingest.errors import (
    ArchiveError,
    ArchiveFileCorruptError,
    ArchiveFileMissingError,
    HashMismatchError,
    NetworkMismatchError,
    UsageError,
)
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.history_archive.mirrors import Mirrors
from aurora_ingest.history_archive.paths import bucket_path, checkpoint_path
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import BusyError, Storage, UnreachableError
from aurora_ingest.network import STANDALONE

_ARCHIVE = Path(__file__).parents[1] / "data" / "standalone-accel"
_NETWORK = STANDALONE.with_checkpoint_frequency(8)
_LEDGERS = checkpoint_path("ledger", 95)
_OTHER_LEDGERS = checkpoint_path("ledger", 87)
_NOW = 1_700_000_000.0

_Manner = Callable[["_Handler", Path], None]


class _Mirror(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True

    def __init__(self, *manners: _Manner) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.manners = list(manners)
        self.asked: list[str] = []
        self.ranges: list[str | None] = []
        self.agents: set[str] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Mirror
    protocol_version = "HTTP/1.0"  # one answer per connection, so that none is left open

    def do_GET(self) -> None:
        self.server.asked.append(self.path.lstrip("/"))
        self.server.ranges.append(self.headers.get("Range"))
        self.server.agents.add(self.headers["User-Agent"])
        # The last manner stays.
        manner = self.server.manners[0] if len(self.server.manners) == 1 else self.server.manners.pop(0)
        path = _ARCHIVE / self.path.lstrip("/")
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


def _good(handler: _Handler, path: Path) -> None:
    handler.answer(200, path.read_bytes())


def _status(status: int, **headers: str) -> _Manner:
    return lambda handler, path: handler.answer(status, b"sorry", None, **headers)


def _content(body: bytes) -> _Manner:
    return lambda handler, path: handler.answer(200, body)


def _cut(handler: _Handler, path: Path) -> None:
    data = path.read_bytes()
    handler.answer(200, data[: len(data) // 2], len(data))


def _cut_silently(handler: _Handler, path: Path) -> None:
    data = path.read_bytes()
    handler.answer(200, data[: len(data) // 2])


def _endless(handler: _Handler, path: Path) -> None:
    handler.answer(200, bytes(2 << 20))


def _hang_up(handler: _Handler, path: Path) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def _serving(*manners: _Manner | tuple[_Manner, ...]) -> Iterator[list[_Mirror]]:
    servers = [_Mirror(*(manner if isinstance(manner, tuple) else (manner,))) for manner in manners]
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


class _Time:
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
            wall_clock=lambda: _NOW + self.now,
            chance=lambda: 1.0,
            **other,
        )


def _archive(servers: list[_Mirror], time: _Time, **policy: float) -> HistoryArchive:
    return HistoryArchive([server.url for server in servers], _NETWORK, retry=time.policy(**policy))  # type: ignore[arg-type]


_FAULTS: dict[str, tuple[_Manner, type[Exception], str]] = {
    "404": (_status(404), ArchiveFileMissingError, "HTTP 404"),
    "410": (_status(410), ArchiveFileMissingError, "HTTP 410"),
    "403": (_status(403), ArchiveError, "HTTP 403"),
    "500": (_status(500), ArchiveError, "HTTP 500"),
    "503": (_status(503), ArchiveError, "HTTP 503"),
    "429": (_status(429), ArchiveError, "HTTP 429"),
    "page": (_content(b" <!DOCTYPE html><html>log in"), ArchiveFileCorruptError, "an HTML or XML page"),
    "text": (_content(b"maintenance"), ArchiveFileCorruptError, "not a gzip file"),
    "empty": (_content(b""), ArchiveFileCorruptError, "empty file"),
    "cut": (_cut, ArchiveError, "body cut after"),
    "cut silently": (_cut_silently, ArchiveFileCorruptError, "gzip cut short"),
    "another file": (
        _content((_ARCHIVE / _OTHER_LEDGERS).read_bytes()),
        ArchiveFileCorruptError,
        "expected ledgers 88-95",
    ),
    "hang up": (_hang_up, ArchiveError, "no connection"),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_the_next_mirror_is_asked_at_once_and_the_bad_one_named(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    time = _Time()
    manner, _, reason = _FAULTS[fault]
    with caplog.at_level(logging.WARNING, "aurora_ingest"), _serving(manner, _good) as servers:
        headers = _archive(servers, time).headers(95)
        assert [server.asked for server in servers] == [[_LEDGERS], [_LEDGERS]]
    assert len(headers) == 8
    assert time.waits == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"{_LEDGERS} of {servers[0].url}: ")
    assert reason in record.getMessage()
    assert record.getMessage().endswith(f"trying {servers[1].url}")


@pytest.mark.parametrize("fault", _FAULTS)
def test_one_bad_mirror_is_an_error_of_its_kind(fault: str) -> None:
    time = _Time()
    manner, kind, reason = _FAULTS[fault]
    with _serving(manner) as servers:
        with pytest.raises(kind) as caught:
            _archive(servers, time).headers(95)
        tries = len(servers[0].asked)
    assert type(caught.value) is kind
    assert isinstance(caught.value, ArchiveError)
    assert list(caught.value.mirrors) == [servers[0].url]
    assert reason in caught.value.mirrors[servers[0].url]
    passing = kind is ArchiveError and fault != "403"
    assert tries == (3 if passing else 1)
    assert time.waits == ([1.0, 2.0] if passing else [])


def test_when_all_are_bad_the_error_lists_each() -> None:
    with _serving(*(manner for manner, _, _ in _FAULTS.values())) as servers:
        with pytest.raises(ArchiveFileCorruptError) as caught:
            _archive(servers, _Time()).headers(95)
        assert list(caught.value.mirrors) == [server.url for server in servers]
    for server, (_, _, reason) in zip(servers, _FAULTS.values(), strict=True):
        assert reason in caught.value.mirrors[server.url]
        assert server.url in str(caught.value)
    assert f"no right copy at any of {len(_FAULTS)} mirrors" in str(caught.value)


def test_missing_everywhere_and_unreachable_somewhere_is_not_missing() -> None:
    with _serving(_status(404), _status(500)) as servers:
        with pytest.raises(ArchiveError) as caught:
            _archive(servers, _Time()).headers(95)
        assert len(servers[0].asked) == 1
    assert type(caught.value) is ArchiveError
    assert "could not be fetched from any of 2 mirrors" in str(caught.value)


def test_no_one_listening_is_told() -> None:
    with _serving(_good) as servers:
        url = servers[0].url
    archive = HistoryArchive([url], _NETWORK, retry=_Time().policy(rounds=2))
    with pytest.raises(ArchiveError, match="no connection") as caught:
        archive.root_state()
    assert list(caught.value.mirrors) == [url]


def test_an_archive_of_another_network_at_one_mirror_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    path = _ARCHIVE / _NETWORK.root_path
    other = path.read_bytes().replace(STANDALONE.passphrase.encode(), b"Another Network")
    with _serving(_content(other), _good) as servers:
        assert _archive(servers, _Time()).root_state().network_passphrase == STANDALONE.passphrase
    assert "'Another Network'" in caplog.text
    with _serving(_content(other), _status(404)) as servers, pytest.raises(NetworkMismatchError, match="Another"):
        _archive(servers, _Time()).root_state()


def test_a_state_without_end_is_refused() -> None:
    with _serving(_endless) as servers, pytest.raises(ArchiveFileCorruptError, match="larger than 1048576 bytes"):
        _archive(servers, _Time()).root_state()


def test_a_redirect_is_followed() -> None:
    def elsewhere(handler: _Handler, path: Path) -> None:
        handler.answer(302, Location=f"{servers[1].url}/{path.relative_to(_ARCHIVE)}")

    with _serving(elsewhere, _good) as servers:
        archive = HistoryArchive([servers[0].url], _NETWORK, retry=_Time().policy())
        assert len(archive.headers(95)) == 8
        assert servers[1].asked == [_LEDGERS]


def test_the_server_learns_who_asks() -> None:
    with _serving(_good) as servers:
        _archive(servers, _Time()).root_state()
    (agent,) = servers[0].agents
    assert agent.startswith("aurora-ingest")


# --- Retry-After ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", ["7", formatdate(_NOW + 7, usegmt=True)])
def test_a_busy_mirror_is_asked_again_at_the_time_it_named(status: int, header: str) -> None:
    time = _Time()
    with _serving((_status(status, Retry_After=header), _good)) as servers:
        assert len(_archive(servers, time).headers(95)) == 8
        assert len(servers[0].asked) == 2
    assert time.waits == [7.0]


@pytest.mark.parametrize("header", ["0", "soon", "-3", formatdate(_NOW - 90, usegmt=True)])
def test_a_time_that_is_none_gives_the_usual_wait(header: str) -> None:
    time = _Time()
    with _serving((_status(429, Retry_After=header), _good)) as servers:
        _archive(servers, time).headers(95)
    assert time.waits == [1.0]


def test_a_mirror_that_wants_more_time_than_there_is_is_given_up() -> None:
    time = _Time()
    with _serving(_status(429, Retry_After="86400")) as servers:
        with pytest.raises(ArchiveError, match="the next try would be in 86400 s, but only 600 s are left") as caught:
            _archive(servers, time).headers(95)
        assert len(servers[0].asked) == 1
    assert "retry after 86400 s" in caught.value.mirrors[servers[0].url]
    assert time.waits == []


def test_a_mirrors_wish_holds_for_its_other_files() -> None:
    time = _Time()
    with _serving((_status(429, Retry_After="50"), _good), _good) as servers:
        archive = _archive(servers, time)
        archive.headers(95)
        archive.headers(87)
        assert [len(server.asked) for server in servers] == [1, 2]
        time.now += 51
        archive.headers(79)
        assert [len(server.asked) for server in servers] == [2, 2]
    assert time.waits == []


# --- Buckets ----------------------------------------------------------------------------------------------------------
def _bucket() -> str:
    """The largest bucket of the small archive."""
    names = HistoryArchive([str(_ARCHIVE)], _NETWORK).verify_checkpoint(95).live_buckets
    return max(names, key=lambda name: (_ARCHIVE / bucket_path(name)).stat().st_size)


def test_a_bucket_with_other_content_comes_from_the_next_mirror(caplog: pytest.LogCaptureFixture) -> None:
    name = _bucket()
    other = next(path for path in _ARCHIVE.rglob("bucket-*.gz") if name not in path.name).read_bytes()
    expected = (_ARCHIVE / bucket_path(name)).read_bytes()
    with _serving(_content(other), _good) as servers, _archive(servers, _Time()).open_bucket(name) as bucket:
        assert b"".join(iter(bucket.read, b"")) == expected
        assert bucket.url == servers[1].url
    assert servers[0].url in caplog.text
    assert f"expected {name}" in caplog.text
    with _serving(_content(other), _content(other)) as servers:
        with pytest.raises(HashMismatchError) as caught:
            _archive(servers, _Time()).open_bucket(name)
        assert all(server.url in str(caught.value) for server in servers)
    assert caught.value.expected == name


@pytest.mark.parametrize("resumes", [True, False])
def test_a_broken_transfer_goes_on_where_it_broke(resumes: bool) -> None:
    name = _bucket()
    data = (_ARCHIVE / bucket_path(name)).read_bytes()
    half = len(data) // 2

    def breaks(handler: _Handler, path: Path) -> None:
        handler.answer(200, data[:half], len(data), ETag='"one"')

    def goes_on(handler: _Handler, path: Path) -> None:
        start = int((handler.headers["Range"] or "bytes=0-")[6:-1])
        if resumes:
            assert handler.headers["If-Range"] == '"one"'
            handler.answer(206, data[start:], None, ETag='"one"', Content_Range=f"bytes {start}-/{len(data)}")
        else:
            handler.answer(200, data, None, ETag='"two"')

    with _serving((breaks, goes_on)) as servers:
        with _archive(servers, _Time()).open_bucket(name, verify=False) as bucket:
            assert b"".join(iter(bucket.read, b"")) == data
        assert servers[0].ranges == [None, f"bytes={half}-"]


def test_a_broken_transfer_goes_on_at_the_next_mirror_only_with_the_same_bytes() -> None:
    name = _bucket()
    data = (_ARCHIVE / bucket_path(name)).read_bytes()
    for second, reason in ((_good, None), (_content(b"\x1f\x8b" + bytes(len(data))), "first [0-9]+ bytes are not")):
        with _serving((_cut, _status(404)), second) as servers:
            archive = _archive(servers, _Time(), rounds=1)
            with archive.open_bucket(name, verify=False) as bucket:
                if reason is None:
                    assert b"".join(iter(bucket.read, b"")) == data
                    assert bucket.url == servers[1].url
                else:
                    with pytest.raises(ArchiveError, match=reason):
                        b"".join(iter(bucket.read, b""))


# --- The order of asking, without a network ---------------------------------------------------------------------------
def _ask(time: _Time, faults: dict[str, list[Exception]], **policy: float) -> tuple[str, list[str]]:
    """Asks mirrors whose faults are listed and who then succeed; returns who did and the order of asking."""
    asked: list[str] = []

    def use(storage: Storage) -> str:
        asked.append(storage.url)
        if faults[storage.url]:
            raise faults[storage.url].pop(0)
        return storage.url

    return Mirrors(list(faults), time.policy(**policy)).fetch("file", use), asked  # type: ignore[arg-type]


def test_rounds_go_over_all_mirrors_before_waiting() -> None:
    time = _Time()
    found, asked = _ask(time, {"/a": [UnreachableError("down")] * 2, "/b": [UnreachableError("down")] * 3})
    assert (found, asked) == ("/a", ["/a", "/b", "/a", "/b", "/a"])
    assert time.waits == [1.0, 2.0]


def test_while_one_is_busy_the_other_is_asked() -> None:
    time = _Time()
    found, asked = _ask(time, {"/a": [BusyError("busy", 100.0)], "/b": [UnreachableError("down")] * 2})
    assert (found, asked) == ("/b", ["/a", "/b", "/b", "/b"])
    assert time.waits == [1.0, 2.0]


def test_waits_double_up_to_the_longest_and_stop_at_the_total() -> None:
    time = _Time()
    with pytest.raises(ArchiveError, match=r"the next try would be in 8 s, but only 7 s are left"):
        _ask(time, {"/a": [UnreachableError("down")] * 99}, rounds=99, longest_wait=8.0, total_wait=30.0)
    assert time.waits == [1.0, 2.0, 4.0, 8.0, 8.0]


def test_an_error_of_another_kind_ends_the_request() -> None:
    asked: list[str] = []

    def use(storage: Storage) -> None:
        asked.append(storage.url)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Mirrors(["/a", "/b"], _Time().policy()).fetch("file", use)
    assert asked == ["/a"]


def test_an_address_given_twice_is_one_mirror() -> None:
    assert [storage.url for storage in Mirrors(["/a", "/b", "/a"], RetryPolicy()).storages] == ["/a", "/b"]


@pytest.mark.parametrize(
    "urls,message",
    [
        ([], "no history archive given"),
        ([""], "empty"),
        (["  "], "empty"),
        (["ftp://host/archive"], "unknown scheme 'ftp'"),
        (["http://"], "names no host"),
        (["file://elsewhere/archive"], "names the host 'elsewhere'"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused(urls: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Mirrors(urls, RetryPolicy())


def test_credentials_of_an_address_are_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str | None] = []

    def refuse(handler: _Handler, path: Path) -> None:
        seen.append(handler.headers["Authorization"])
        handler.answer(403)

    with _serving(refuse) as servers:
        url = servers[0].url.replace("//", "//user:hunter2@")
        with pytest.raises(ArchiveError) as caught:
            HistoryArchive([url, str(_ARCHIVE / "nowhere")], _NETWORK, retry=_Time().policy()).headers(95)
    assert seen[0] is not None
    assert seen[0].startswith("Basic ")
    assert "hunter2" not in str(caught.value) + caplog.text


def test_a_transfer_that_stalls_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    time = _Time()

    def slow_body(handler: _Handler, path: Path) -> None:
        data = path.read_bytes()
        handler.answer(200, data[:10], len(data))
        handler.wfile.flush()
        gate.wait(5.0)
        time.now += 100.0
        handler.wfile.write(data[10:20])

    gate = threading.Event()
    with _serving(slow_body, _good) as servers:
        name = _bucket()
        with _archive(servers, time).open_bucket(name, verify=False) as bucket:
            first = bucket.read()
            gate.set()
            rest = b"".join(iter(bucket.read, b""))
    assert hashlib.sha256(first + rest).digest() == hashlib.sha256((_ARCHIVE / bucket_path(name)).read_bytes()).digest()
    assert f"{servers[0].url}: stalled: " in caplog.text
