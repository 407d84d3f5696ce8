"""The bucket cache: what it keeps is proven, what is damaged is fetched again, and processes may share it."""

from __future__ import annotations

import gzip
import hashlib
import io
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from aurora_ingest.errors import ArchiveError
from aurora_ingest.history_archive.bucket_cache import BucketCache, BucketProof, prove
from aurora_ingest.history_archive.paths import bucket_path
from aurora_ingest.history_archive.storage import BadFileError, UnreachableError, WrongHashError

_PLAIN = os.urandom(3_000_000)
_NAME = hashlib.sha256(_PLAIN).hexdigest()
_DATA = gzip.compress(_PLAIN, 1)
_OTHER = gzip.compress(_PLAIN, 0)
"""The same bucket as another mirror compressed it."""


class _Breaking(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(1000)
        if self.tell() > 5000:
            raise UnreachableError("gone")
        return data


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def _stored(folder: Path, data: bytes = _DATA) -> BucketCache:
    cache = BucketCache(folder)
    cache.store(_NAME, io.BytesIO(data)).close()
    return cache


def test_a_bucket_is_kept_and_given_back(tmp_path: Path) -> None:
    cache = BucketCache(tmp_path / "new" / "folder")
    assert not cache.has(_NAME)
    assert cache.size(_NAME) is None
    assert cache.open(_NAME) is None
    with cache.store(_NAME, io.BytesIO(_DATA)) as handle:
        assert handle.read() == _DATA
    assert cache.has(_NAME)
    assert cache.size(_NAME) == len(_DATA)
    assert cache.path(_NAME) == tmp_path / "new" / "folder" / bucket_path(_NAME)
    handle_again = cache.open(_NAME)
    assert handle_again is not None
    with handle_again:
        assert handle_again.read() == _DATA
    name = f"bucket-{_NAME}.xdr.gz"
    assert _files(tmp_path) == [name, f"{name}.crc32"]
    cache.drop(_NAME)
    cache.drop(_NAME)
    assert _files(tmp_path) == []


@pytest.mark.parametrize(
    "data,error",
    [
        (gzip.compress(b"another bucket"), WrongHashError),
        (_DATA[:-1], BadFileError),
        (_DATA[: len(_DATA) // 2], BadFileError),
        (_DATA + b"more", BadFileError),
        (b"<html>", BadFileError),
        (b"", BadFileError),
    ],
)
def test_what_is_not_the_bucket_leaves_nothing(tmp_path: Path, data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        BucketCache(tmp_path).store(_NAME, io.BytesIO(data))
    if isinstance(caught.value, WrongHashError):
        assert caught.value.expected == _NAME
        assert caught.value.computed == hashlib.sha256(b"another bucket").hexdigest()
    assert _files(tmp_path) == []


def test_a_transfer_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="gone"):
        BucketCache(tmp_path).store(_NAME, _Breaking(_DATA))
    assert _files(tmp_path) == []


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer", "other"])
@pytest.mark.parametrize("noted", [True, False])
def test_a_damaged_file_is_found_removed_and_told(
    tmp_path: Path, damage: str, noted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    cache = _stored(tmp_path)
    path = cache.path(_NAME)
    flipped = bytearray(_DATA)
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(
        {
            "flip": bytes(flipped),
            "cut": _DATA[:-20],
            "empty": b"",
            "longer": _DATA + b"\0",
            "other": gzip.compress(b"another bucket"),
        }[damage]
    )
    if not noted:
        path.with_name(f"{path.name}.crc32").unlink()
    assert cache.open(_NAME) is None
    assert f"{path} is damaged" in caplog.text
    assert _files(tmp_path) == []
    # It can be stored again.
    with cache.store(_NAME, io.BytesIO(_DATA)) as handle:
        assert handle.read() == _DATA


@pytest.mark.parametrize("note", [None, "", "nonsense", "00000000\n", "ü"])
def test_without_a_right_note_the_content_decides(tmp_path: Path, note: str | None) -> None:
    cache = _stored(tmp_path)
    beside = cache.path(_NAME).with_name(f"{cache.path(_NAME).name}.crc32")
    right = beside.read_text(encoding="ascii")
    if note is None:
        beside.unlink()
    else:
        beside.write_text(note, encoding="utf-8")
    handle = cache.open(_NAME)
    assert handle is not None
    with handle:
        assert handle.read() == _DATA
    assert beside.read_text(encoding="ascii") == right


def test_the_same_bucket_of_another_mirror_takes_its_place(tmp_path: Path) -> None:
    cache = _stored(tmp_path)
    before = cache.open(_NAME)
    assert before is not None
    with before:
        _stored(tmp_path, _OTHER)
        assert before.read() == _DATA  # who has it open reads on
    after = cache.open(_NAME)
    assert after is not None
    with after:
        assert after.read() == _OTHER


def test_leftovers_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    path = BucketCache(tmp_path).path(_NAME)
    path.parent.mkdir(parents=True)
    old, young = (path.with_name(f".{path.name}.{kind}.part") for kind in ("old", "young"))
    for draft in (old, young):
        draft.write_bytes(b"half a bucket")
    os.utime(old, (time.time() - 90_000,) * 2)
    _stored(tmp_path)
    assert not old.exists()
    assert young.exists()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file in its place")
    cache = BucketCache(tmp_path / "cache")
    with pytest.raises(ArchiveError, match="choose another folder with --bucket-cache") as caught:
        cache.store(_NAME, io.BytesIO(_DATA))
    assert str(tmp_path / "cache") in str(caught.value)


def test_a_proof_takes_any_pieces() -> None:
    for size in (1000, 65_536, len(_DATA)):
        proof = BucketProof(_NAME)
        for start in range(0, len(_DATA), size):
            proof.feed(_DATA[start : start + size])
        proof.finish()
    prove(_NAME, io.BytesIO(_OTHER))
    # Several members are one file to gzip.
    prove(_NAME, io.BytesIO(gzip.compress(_PLAIN[:7]) + gzip.compress(_PLAIN[7:])))


def _fill(folder: Path, data: bytes, plain_hash: str, rounds: int, bad: multiprocessing.SimpleQueue[str]) -> None:
    cache = BucketCache(folder)
    try:
        for _ in range(rounds):
            with cache.store(plain_hash, io.BytesIO(data)) as handle:
                if handle.read() != data:
                    bad.put("stored other bytes")
            found = cache.open(plain_hash)
            if found is None:
                bad.put("took a whole bucket for a damaged one")
            else:
                with found:
                    if hashlib.sha256(gzip.decompress(found.read())).hexdigest() != plain_hash:
                        bad.put("gave other content")
    except Exception as error:  # noqa: BLE001 - told to the test in the other process
        bad.put(repr(error))


def test_processes_share_a_cache(tmp_path: Path) -> None:
    plain = _PLAIN[:200_000]
    name = hashlib.sha256(plain).hexdigest()
    spawning = multiprocessing.get_context("spawn")
    bad: multiprocessing.SimpleQueue[str] = spawning.SimpleQueue()
    copies = [gzip.compress(plain, level) for level in (0, 1, 9)]
    workers = [spawning.Process(target=_fill, args=(tmp_path, data, name, 20, bad)) for data in copies]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    told = []
    while not bad.empty():
        told.append(bad.get())
    bad.close()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert told == []
    found = BucketCache(tmp_path).open(name)
    assert found is not None
    with found:
        assert found.read() in copies
    assert _files(tmp_path) == [f"bucket-{name}.xdr.gz", f"bucket-{name}.xdr.gz.crc32"]
