"""An archive in Google Cloud Storage, played by fake-gcs-server."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import free_port

from aurora_ingest.errors import ArchiveError, ArchiveFileMissingError, UsageError
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.history_archive.gs_storage import GsStorage
from aurora_ingest.history_archive.paths import checkpoint_path
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import NotThereError
from aurora_ingest.network import STANDALONE
from buckets import fake_gcs

storage = pytest.importorskip("google.cloud.storage")

_ARCHIVE = Path(__file__).parents[1] / "data" / "standalone-accel"
_NETWORK = STANDALONE.with_checkpoint_frequency(8)
_LEDGERS = checkpoint_path("ledger", 95)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Address of a bucket with the small archive below `some/prefix`."""
    with fake_gcs("archives"):
        client = storage.Client.create_anonymous_client()
        target = client.bucket("archives")
        for path in _ARCHIVE.rglob("*"):
            if path.is_file():
                target.blob(f"some/prefix/{path.relative_to(_ARCHIVE)}").upload_from_filename(str(path))
        client.close()
        yield "gs://archives/some/prefix"


def _archive(*urls: str, cache: Path | None = None) -> HistoryArchive:
    waits: list[float] = []
    return HistoryArchive(list(urls), _NETWORK, cache, RetryPolicy(rounds=2, sleep=waits.append, chance=lambda: 1.0))


def test_an_archive_is_read_and_proven(bucket: str, tmp_path: Path) -> None:
    archive = _archive(f"{bucket}/", cache=tmp_path)
    assert archive.latest_checkpoint() == 95
    proven = archive.verify_checkpoint(95)
    assert proven == _archive(str(_ARCHIVE)).verify_checkpoint(95)
    archive.prefetch(proven.live_buckets)
    for name in proven.live_buckets:
        with archive.open_bucket(name) as file:
            assert file.url.startswith(str(tmp_path))


def test_a_missing_object_is_missing(bucket: str) -> None:
    with pytest.raises(ArchiveFileMissingError, match="the newest checkpoint of this archive is 95"):
        _archive(bucket).verify_checkpoint(103)
    with pytest.raises(ArchiveFileMissingError, match="no such object"):
        _archive("gs://archives/another/prefix").root_state()
    assert _archive("gs://archives/another/prefix", bucket).latest_checkpoint() == 95


def test_reading_goes_on_in_the_middle_of_the_same_generation(bucket: str) -> None:
    data = (_ARCHIVE / _LEDGERS).read_bytes()
    files = GsStorage(bucket, RetryPolicy())
    whole = files.open(_LEDGERS)
    assert (whole.start, whole.size) == (0, len(data))
    assert b"".join(iter(lambda: whole.source.read(1000), b"")) == data
    assert len(gzip.decompress(data)) > len(data)  # raw: nothing was inflated on the way
    whole.source.close()
    rest = files.open(_LEDGERS, start=100, validator=whole.validator)
    assert rest.start == 100
    assert rest.source.read(1 << 20) == data[100:]
    rest.source.close()
    other = files.open(_LEDGERS, start=100, validator="1")
    assert other.start == 0
    assert other.source.read(10) == data[:10]
    other.source.close()
    assert files.size(_LEDGERS) == len(data)
    assert files.size("nothing") is None
    with pytest.raises(NotThereError):
        files.open("nothing")


def test_no_one_listening_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ArchiveError, match="could not be fetched") as caught:
        _archive(bucket).root_state()
    assert list(caught.value.mirrors) == [bucket]


def test_an_address_without_a_bucket_is_refused() -> None:
    with pytest.raises(UsageError, match="names no bucket"):
        GsStorage("gs://", RetryPolicy())
