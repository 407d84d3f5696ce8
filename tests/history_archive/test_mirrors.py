"""Several mirrors over http, each with a fault of its own: who is asked next, after which wait, and what is said."""

from __future__ import annotations

import hashlib
import logging
import threading
from email.utils import formatdate
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
from history_archive.mirror_server import (
    ARCHIVE,
    NETWORK,
    NOW,
    Handler,
    Manner,
    Time,
    answers,
    archive_of,
    cut,
    cut_silently,
    endless,
    good,
    hang_up,
    serves,
    serving,
)

_LEDGERS = checkpoint_path("ledger", 95)
_OTHER_LEDGERS = checkpoint_path("ledger", 87)


_FAULTS: dict[str, tuple[Manner, type[Exception], str]] = {
    "404": (answers(404), ArchiveFileMissingError, "HTTP 404"),
    "410": (answers(410), ArchiveFileMissingError, "HTTP 410"),
    "403": (answers(403), ArchiveError, "HTTP 403"),
    "500": (answers(500), ArchiveError, "HTTP 500"),
    "503": (answers(503), ArchiveError, "HTTP 503"),
    "429": (answers(429), ArchiveError, "HTTP 429"),
    "page": (serves(b" <!DOCTYPE html><html>log in"), ArchiveFileCorruptError, "an HTML or XML page"),
    "text": (serves(b"maintenance"), ArchiveFileCorruptError, "not a gzip file"),
    "empty": (serves(b""), ArchiveFileCorruptError, "empty file"),
    "cut": (cut, ArchiveError, "body cut after"),
    "cut silently": (cut_silently, ArchiveFileCorruptError, "gzip cut short"),
    "another file": (
        serves((ARCHIVE / _OTHER_LEDGERS).read_bytes()),
        ArchiveFileCorruptError,
        "expected ledgers 88-95",
    ),
    "hang up": (hang_up, ArchiveError, "no connection"),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_the_next_mirror_is_asked_at_once_and_the_bad_one_named(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    manner, _, reason = _FAULTS[fault]
    with caplog.at_level(logging.WARNING, "aurora_ingest"), serving(manner, good) as servers:
        headers = archive_of(servers, time).headers(95)
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
    time = Time()
    manner, kind, reason = _FAULTS[fault]
    with serving(manner) as servers:
        with pytest.raises(kind) as caught:
            archive_of(servers, time).headers(95)
        tries = len(servers[0].asked)
    assert type(caught.value) is kind
    assert isinstance(caught.value, ArchiveError)
    assert list(caught.value.mirrors) == [servers[0].url]
    assert reason in caught.value.mirrors[servers[0].url]
    passing = kind is ArchiveError and fault != "403"
    assert tries == (3 if passing else 1)
    assert time.waits == ([1.0, 2.0] if passing else [])


def test_when_all_are_bad_the_error_lists_each() -> None:
    with serving(*(manner for manner, _, _ in _FAULTS.values())) as servers:
        with pytest.raises(ArchiveFileCorruptError) as caught:
            archive_of(servers, Time()).headers(95)
        assert list(caught.value.mirrors) == [server.url for server in servers]
    for server, (_, _, reason) in zip(servers, _FAULTS.values(), strict=True):
        assert reason in caught.value.mirrors[server.url]
        assert server.url in str(caught.value)
    assert f"no right copy at any of {len(_FAULTS)} mirrors" in str(caught.value)


def test_missing_everywhere_and_unreachable_somewhere_is_not_missing() -> None:
    with serving(answers(404), answers(500)) as servers:
        with pytest.raises(ArchiveError) as caught:
            archive_of(servers, Time()).headers(95)
        assert len(servers[0].asked) == 1
    assert type(caught.value) is ArchiveError
    assert "could not be fetched from any of 2 mirrors" in str(caught.value)


def test_no_one_listening_is_told() -> None:
    with serving(good) as servers:
        url = servers[0].url
    archive = HistoryArchive([url], NETWORK, retry=Time().policy(rounds=2))
    with pytest.raises(ArchiveError, match="no connection") as caught:
        archive.root_state()
    assert list(caught.value.mirrors) == [url]


def test_an_archive_of_another_network_at_one_mirror_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    path = ARCHIVE / NETWORK.root_path
    other = path.read_bytes().replace(STANDALONE.passphrase.encode(), b"Another Network")
    with serving(serves(other), good) as servers:
        assert archive_of(servers, Time()).root_state().network_passphrase == STANDALONE.passphrase
    assert "'Another Network'" in caplog.text
    with serving(serves(other), answers(404)) as servers, pytest.raises(NetworkMismatchError, match="Another"):
        archive_of(servers, Time()).root_state()


def test_a_state_without_end_is_refused() -> None:
    with serving(endless) as servers, pytest.raises(ArchiveFileCorruptError, match="larger than 1048576 bytes"):
        archive_of(servers, Time()).root_state()


def test_a_redirect_is_followed() -> None:
    def elsewhere(handler: Handler, path: Path) -> None:
        handler.answer(302, Location=f"{servers[1].url}/{path.relative_to(ARCHIVE)}")

    with serving(elsewhere, good) as servers:
        archive = HistoryArchive([servers[0].url], NETWORK, retry=Time().policy())
        assert len(archive.headers(95)) == 8
        assert servers[1].asked == [_LEDGERS]


def test_the_server_learns_who_asks() -> None:
    with serving(good) as servers:
        archive_of(servers, Time()).root_state()
    (agent,) = servers[0].agents
    assert agent.startswith("aurora-ingest")


# --- Retry-After ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", ["7", formatdate(NOW + 7, usegmt=True)])
def test_a_busy_mirror_is_asked_again_at_the_time_it_named(status: int, header: str) -> None:
    time = Time()
    with serving((answers(status, Retry_After=header), good)) as servers:
        assert len(archive_of(servers, time).headers(95)) == 8
        assert len(servers[0].asked) == 2
    assert time.waits == [7.0]


@pytest.mark.parametrize("header", ["0", "soon", "-3", formatdate(NOW - 90, usegmt=True)])
def test_a_time_that_is_none_gives_the_usual_wait(header: str) -> None:
    time = Time()
    with serving((answers(429, Retry_After=header), good)) as servers:
        archive_of(servers, time).headers(95)
    assert time.waits == [1.0]


def test_a_mirror_that_wants_more_time_than_there_is_is_given_up() -> None:
    time = Time()
    with serving(answers(429, Retry_After="86400")) as servers:
        with pytest.raises(ArchiveError, match="the next try would be in 86400 s, but only 600 s are left") as caught:
            archive_of(servers, time).headers(95)
        assert len(servers[0].asked) == 1
    assert "retry after 86400 s" in caught.value.mirrors[servers[0].url]
    assert time.waits == []


def test_a_mirrors_wish_holds_for_its_other_files() -> None:
    time = Time()
    with serving((answers(429, Retry_After="50"), good), good) as servers:
        archive = archive_of(servers, time)
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
    names = HistoryArchive([str(ARCHIVE)], NETWORK).verify_checkpoint(95).live_buckets
    return max(names, key=lambda name: (ARCHIVE / bucket_path(name)).stat().st_size)


def test_a_bucket_with_other_content_comes_from_the_next_mirror(caplog: pytest.LogCaptureFixture) -> None:
    name = _bucket()
    other = next(path for path in ARCHIVE.rglob("bucket-*.gz") if name not in path.name).read_bytes()
    expected = (ARCHIVE / bucket_path(name)).read_bytes()
    with serving(serves(other), good) as servers, archive_of(servers, Time()).open_bucket(name) as bucket:
        assert b"".join(iter(bucket.read, b"")) == expected
        assert bucket.url == servers[1].url
    assert servers[0].url in caplog.text
    assert f"expected {name}" in caplog.text
    with serving(serves(other), serves(other)) as servers:
        with pytest.raises(HashMismatchError) as caught:
            archive_of(servers, Time()).open_bucket(name)
        assert all(server.url in str(caught.value) for server in servers)
    assert caught.value.expected == name


@pytest.mark.parametrize("resumes", [True, False])
def test_a_broken_transfer_goes_on_where_it_broke(resumes: bool) -> None:
    name = _bucket()
    data = (ARCHIVE / bucket_path(name)).read_bytes()
    half = len(data) // 2

    def breaks(handler: Handler, path: Path) -> None:
        handler.answer(200, data[:half], len(data), ETag='"one"')

    def goes_on(handler: Handler, path: Path) -> None:
        start = int((handler.headers["Range"] or "bytes=0-")[6:-1])
        if resumes:
            assert handler.headers["If-Range"] == '"one"'
            handler.answer(206, data[start:], None, ETag='"one"', Content_Range=f"bytes {start}-/{len(data)}")
        else:
            handler.answer(200, data, None, ETag='"two"')

    with serving((breaks, goes_on)) as servers:
        with archive_of(servers, Time()).open_bucket(name, verify=False) as bucket:
            assert b"".join(iter(bucket.read, b"")) == data
        assert servers[0].ranges == [None, f"bytes={half}-"]


def test_a_broken_transfer_goes_on_at_the_next_mirror_only_with_the_same_bytes() -> None:
    name = _bucket()
    data = (ARCHIVE / bucket_path(name)).read_bytes()
    for second, reason in ((good, None), (serves(b"\x1f\x8b" + bytes(len(data))), "first [0-9]+ bytes are not")):
        with serving((cut, answers(404)), second) as servers:
            archive = archive_of(servers, Time(), rounds=1)
            with archive.open_bucket(name, verify=False) as bucket:
                if reason is None:
                    assert b"".join(iter(bucket.read, b"")) == data
                    assert bucket.url == servers[1].url
                else:
                    with pytest.raises(ArchiveError, match=reason):
                        b"".join(iter(bucket.read, b""))


# --- The order of asking, without a network ---------------------------------------------------------------------------
def _ask(time: Time, faults: dict[str, list[Exception]], **policy: float) -> tuple[str, list[str]]:
    """Asks mirrors whose faults are listed and who then succeed; returns who did and the order of asking."""
    asked: list[str] = []

    def use(storage: Storage) -> str:
        asked.append(storage.url)
        if faults[storage.url]:
            raise faults[storage.url].pop(0)
        return storage.url

    return Mirrors(list(faults), time.policy(**policy)).fetch("file", use), asked  # type: ignore[arg-type]


def test_rounds_go_over_all_mirrors_before_waiting() -> None:
    time = Time()
    found, asked = _ask(time, {"/a": [UnreachableError("down")] * 2, "/b": [UnreachableError("down")] * 3})
    assert (found, asked) == ("/a", ["/a", "/b", "/a", "/b", "/a"])
    assert time.waits == [1.0, 2.0]


def test_while_one_is_busy_the_other_is_asked() -> None:
    time = Time()
    found, asked = _ask(time, {"/a": [BusyError("busy", 100.0)], "/b": [UnreachableError("down")] * 2})
    assert (found, asked) == ("/b", ["/a", "/b", "/b", "/b"])
    assert time.waits == [1.0, 2.0]


def test_waits_double_up_to_the_longest_and_stop_at_the_total() -> None:
    time = Time()
    with pytest.raises(ArchiveError, match=r"the next try would be in 8 s, but only 7 s are left"):
        _ask(time, {"/a": [UnreachableError("down")] * 99}, rounds=99, longest_wait=8.0, total_wait=30.0)
    assert time.waits == [1.0, 2.0, 4.0, 8.0, 8.0]


def test_an_error_of_another_kind_ends_the_request() -> None:
    asked: list[str] = []

    def use(storage: Storage) -> None:
        asked.append(storage.url)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Mirrors(["/a", "/b"], Time().policy()).fetch("file", use)
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

    def refuse(handler: Handler, path: Path) -> None:
        seen.append(handler.headers["Authorization"])
        handler.answer(403)

    with serving(refuse) as servers:
        url = servers[0].url.replace("//", "//user:hunter2@")
        with pytest.raises(ArchiveError) as caught:
            HistoryArchive([url, str(ARCHIVE / "nowhere")], NETWORK, retry=Time().policy()).headers(95)
    assert seen[0] is not None
    assert seen[0].startswith("Basic ")
    assert "hunter2" not in str(caught.value) + caplog.text


def test_a_transfer_that_stalls_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()

    def slow_body(handler: Handler, path: Path) -> None:
        data = path.read_bytes()
        handler.answer(200, data[:10], len(data))
        handler.wfile.flush()
        gate.wait(5.0)
        time.now += 100.0
        handler.wfile.write(data[10:20])

    gate = threading.Event()
    with serving(slow_body, good) as servers:
        name = _bucket()
        with archive_of(servers, time).open_bucket(name, verify=False) as bucket:
            first = bucket.read()
            gate.set()
            rest = b"".join(iter(bucket.read, b""))
    assert hashlib.sha256(first + rest).digest() == hashlib.sha256((ARCHIVE / bucket_path(name)).read_bytes()).digest()
    assert f"{servers[0].url}: stalled: " in caplog.text
