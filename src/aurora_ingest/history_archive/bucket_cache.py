"""A local folder of downloaded buckets: each file was proven by its name before it got it."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from aurora_ingest.errors import HashMismatchError
from aurora_ingest.history_archive.gzip_check import GzipInflater
from aurora_ingest.history_archive.paths import bucket_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from aurora_ingest.history_archive.storage import ByteSource

_CHUNK = 1 << 20


class BucketProof:
    """Hashes a gzip file while it passes by and tells in the end whether it is the bucket of that name."""

    def __init__(self, name: str) -> None:
        """Starts before the first byte of bucket ``name`` (64 hex digits)."""
        self._name = name
        self._inflater = GzipInflater()
        self._hash = hashlib.sha256()

    def feed(self, chunk: bytes) -> None:
        """Takes the next compressed bytes.

        Raises:
            BadFileError: they are not gzip.
        """
        for piece in self._inflater.feed(chunk):
            self._hash.update(piece)

    def finish(self) -> None:
        """Ends the file.

        Raises:
            BadFileError: the gzip stream is cut short.
            HashMismatchError: it is another bucket, or a damaged one.
        """
        for piece in self._inflater.finish():
            self._hash.update(piece)
        computed = self._hash.hexdigest()
        if computed != self._name:
            file = bucket_path(self._name)
            raise HashMismatchError(
                f"{file}: SHA-256 of the uncompressed bytes is {computed}, expected {self._name}",
                expected=self._name,
                computed=computed,
                file=file,
            )


class BucketCache:
    """Files ``bucket-<hash>.xdr.gz`` below one folder; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        """Keeps the folder; it is made when the first bucket comes."""
        self._folder = folder

    def path(self, name: str) -> Path:
        """Where the bucket stands, or would stand."""
        return self._folder / bucket_path(name)

    def store(self, name: str, source: ByteSource) -> None:
        """Copies a bucket into the cache, proving it on the way; it appears whole and right or not at all.

        Args:
            name: the bucket's hash, 64 hex digits.
            source: its compressed bytes.

        Raises:
            BadFileError: the bytes are no whole gzip file.
            HashMismatchError: they are not the bucket of that name.
            StorageError: the source's own.
        """
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        proof = BucketProof(name)
        try:
            with draft.open("wb") as target:
                while chunk := source.read(_CHUNK):
                    proof.feed(chunk)
                    target.write(chunk)
                proof.finish()
                target.flush()
                os.fsync(target.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def drop(self, name: str) -> None:
        """Removes a bucket that turned out to be damaged."""
        self.path(name).unlink(missing_ok=True)


def prove(name: str, open_source: Callable[[], ByteSource]) -> None:
    """Reads a bucket once, only to prove it.

    Raises:
        BadFileError: the bytes are no whole gzip file.
        HashMismatchError: they are not the bucket of that name.
        StorageError: the source's own.
    """
    proof = BucketProof(name)
    source = open_source()
    try:
        while chunk := source.read(_CHUNK):
            proof.feed(chunk)
        proof.finish()
    finally:
        source.close()
