"""Files of a folder, of Google Cloud Storage and of S3, by one face: versions hold, and of two writers one wins."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from postgres_server import free_port

from aurora_ingest.errors import BackendError
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import NotThereError
from aurora_ingest.object_store.patient_store import patient_store
from aurora_ingest.object_store.store import ABSENT, joined, open_store
from buckets import _SECRET


def test_versions_are_kept(place: str, tmp_path: Path) -> None:
    store = patient_store(place, "test")
    assert store.get_version("a/x") == (b"", ABSENT)
    assert (store.size("a/x"), store.version("a/x")) == (None, ABSENT)
    assert store.put("a/x", b"one", ABSENT)
    assert not store.put("a/x", b"two", ABSENT), "it is there"
    data, first = store.get_version("a/x")
    assert (data, store.version("a/x"), store.size("a/x")) == (b"one", first, 3)
    file = tmp_path / "two"
    file.write_bytes(b"number two")
    assert store.put("a/x", file, first)
    assert not store.put("a/x", b"three", first), "that version is gone"
    assert store.get("a/x") == b"number two"
    assert store.get_part("a/x", 7, 2) == b"tw"
    assert store.get_part("a/x", 7, None) == b"two"
    assert store.put("a/x", memoryview(b"anything"))
    store.delete("a/x", first)
    assert store.get("a/x") == b"anything", "of another version"
    assert store.put("a/b/y", b"")
    assert sorted(store.walk("a/")) == ["a/b/y", "a/x"]
    assert (store.names("a/"), store.folders("a/")) == (["x"], ["b"])
    store.delete("a/x", store.version("a/x"))
    store.delete("a/x")
    assert store.version("a/x") == ABSENT
    assert not store.put("a/x", b"late", first)
    with pytest.raises(NotThereError):
        store.get("a/x")
    store.delete_all("a/")
    assert store.walk("a/") == []


def test_a_file_comes_in_pieces(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    from aurora_ingest.object_store import patient_store as module

    monkeypatch.setattr(module, "_PIECE", 1000)
    store = patient_store(place, "test")
    data = bytes(range(256)) * 20
    store.put("big", data)
    assert store.fetch("big", tmp_path / "copy") == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "copy").read_bytes() == data
    store.put("none", b"")
    assert store.fetch("none", tmp_path / "empty") == hashlib.sha256(b"").hexdigest()
    with pytest.raises(NotThereError):
        store.fetch("nothing", tmp_path / "no")
    names = [f"many/{number:02d}" for number in range(20)]
    for name in names:
        store.put(name, name.encode())
    assert store.get_all(names) == [name.encode() for name in names]


@pytest.mark.parametrize("first", [True, False], ids=["new", "replacing"])
def test_of_many_writers_one_wins(bucket: str, *, first: bool) -> None:
    stores = [open_store(bucket, RetryPolicy()) for _ in range(4)]
    if not first:
        stores[0].put("x", b"before", ABSENT)
    version = stores[0].version("x")
    barrier = threading.Barrier(len(stores))

    def write(number: int) -> bool:
        barrier.wait()
        return stores[number].put("x", b"%d" % number * 10_000, version)

    with ThreadPoolExecutor(len(stores)) as pool:
        won = [number for number, taken in enumerate(pool.map(write, range(len(stores)))) if taken]
    assert len(won) == 1
    assert stores[0].get("x") == b"%d" % won[0] * 10_000


def test_addresses_below_an_address_keep_their_query() -> None:
    assert joined("s3://b/p/?region=x", "a", "b") == "s3://b/p/a/b?region=x"
    assert joined("/tmp/what?/x", "a") == "/tmp/what?/x/a"  # noqa: S108
    assert joined("gs://b", "a") == "gs://b/a"


def test_credentials_are_in_no_message_and_no_log(s3: str, caplog: pytest.LogCaptureFixture) -> None:
    """At the loudest level, through a success, a refusal and a server that does not answer."""
    caplog.set_level(logging.DEBUG)
    store = patient_store(joined(s3, "secrets"), "test")
    store.put("x", b"1")
    dead = f"s3://aurora-tests/x?endpoint_url=http://127.0.0.1:{free_port()}&region=us-east-1"
    policy = RetryPolicy(rounds=2, sleep=lambda _seconds: None)
    from aurora_ingest.object_store.patient_store import PatientStore

    told = []
    for address in (dead, s3.replace("aurora-tests", "nothing")):
        with pytest.raises((BackendError, NotThereError)) as error:
            PatientStore(open_store(address, policy), policy).put("x", b"")
        told.append(f"{error.value!r} {error.value.__cause__!r}")
    told += [repr(store.plain), store.url, caplog.text]
    assert "trying again" in caplog.text
    assert not [text for text in told if _SECRET in text or "endpoint_url" in text]


def test_a_google_token_is_in_no_log(
    gs: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client with a token of its own, at the loudest level of every library."""
    from google.cloud import storage as gcs
    from google.oauth2.credentials import Credentials

    secret = "ya29.a-token-that-no-log-may-show"
    kind = gcs.Client
    monkeypatch.setattr(gcs, "Client", lambda: kind(project="test", credentials=Credentials(token=secret)))
    caplog.set_level(logging.DEBUG)
    store = open_store(f"{gs}/tokens", RetryPolicy())
    assert store.put("x", b"1")
    assert store.get("x") == b"1"
    with pytest.raises(NotThereError) as error:
        store.get("nothing")
    assert secret not in caplog.text + repr(error.value) + repr(error.value.__cause__)
