"""A local folder of downloaded buckets: each was proven by its name before it got it, and is looked over when used."""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from aurora_ingest.errors import ArchiveError
from aurora_ingest.history_archive.gzip_check import GzipInflater
from aurora_ingest.history_archive.paths import bucket_path
from aurora_ingest.history_archive.storage import StorageError, WrongHashError
from aurora_ingest.history_archive.transfer import CHUNK

if TYPE_CHECKING:
    from aurora_ingest.history_archive.storage import ByteSource

_log = logging.getLogger(__name__)
_STALE_DRAFT: Final = 86_400.0
"""Seconds after which an unfinished download is taken for the leftover of a process that died."""


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
            WrongHashError: it is another bucket, or a damaged one.
        """
        for piece in self._inflater.finish():
            self._hash.update(piece)
        computed = self._hash.hexdigest()
        if computed != self._name:
            raise WrongHashError(self._name, computed, bucket_path(self._name))


def prove(name: str, source: ByteSource) -> None:
    """Reads a bucket to its end, only to prove it.

    Raises:
        BadFileError: the bytes are no whole gzip file.
        WrongHashError: they are not the bucket of that name.
        StorageError: the source's own.
    """
    proof = BucketProof(name)
    while chunk := source.read(CHUNK):
        proof.feed(chunk)
    proof.finish()


class BucketCache:
    """Files ``bucket-<hash>.xdr.gz`` below one folder, laid out as in an archive; several processes may share it.

    Beside each stands ``….crc32`` with the CRC-32 of the compressed bytes, which is checked whenever the bucket is
    used: three times as fast as hashing the content again, and what reads the content hashes it anyway.
    """

    def __init__(self, folder: Path) -> None:
        """Keeps the folder; it is made when the first bucket comes."""
        self._folder = folder

    def path(self, name: str) -> Path:
        """Where the bucket stands, or would stand."""
        return self._folder / bucket_path(name)

    def has(self, name: str) -> bool:
        """Whether there is a file for the bucket; it is not looked over."""
        return self.path(name).is_file()

    def size(self, name: str) -> int | None:
        """Compressed bytes of a bucket, or None if it is not here."""
        try:
            return self.path(name).stat().st_size
        except OSError:
            return None

    def open(self, name: str) -> BinaryIO | None:
        """Opens a bucket and looks it over.

        Returns:
            the compressed bytes from the start; None if it is not here, or was damaged and has been removed.
        """
        try:
            handle = self.path(name).open("rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._trouble(error) from error
        try:
            if self._is_whole(name, handle):
                handle.seek(0)
                return handle
        except BaseException:
            handle.close()
            raise
        handle.close()
        _log.warning("bucket cache: %s is damaged; fetching it again", self.path(name))
        self.drop(name)
        return None

    def store(self, name: str, source: ByteSource) -> BinaryIO:
        """Copies a bucket into the cache, proving it on the way; it appears whole and right or not at all.

        Args:
            name: the bucket's hash, 64 hex digits.
            source: its compressed bytes.

        Returns:
            the stored file, open at its start.

        Raises:
            BadFileError: the bytes are no whole gzip file.
            WrongHashError: they are not the bucket of that name.
            StorageError: the source's own.
            ArchiveError: the cache cannot be written to.
        """
        path = self.path(name)
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sweep(path)
            handle = draft.open("w+b")
        except OSError as error:
            raise self._trouble(error) from error
        try:
            crc = self._copy(name, source, handle)
            # The note first: a bucket without one costs a full proof, a note without a bucket nothing.
            self._note(path, crc)
            draft.replace(path)
            handle.seek(0)
        except BaseException as error:
            handle.close()
            draft.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise self._trouble(error) from error
            raise
        return handle

    def drop(self, name: str) -> None:
        """Removes a bucket that turned out to be damaged; whoever has it open may read on."""
        self.path(name).unlink(missing_ok=True)
        _note_path(self.path(name)).unlink(missing_ok=True)

    def _copy(self, name: str, source: ByteSource, target: BinaryIO) -> int:
        proof = BucketProof(name)
        crc = 0
        while chunk := source.read(CHUNK):
            proof.feed(chunk)
            target.write(chunk)
            crc = zlib.crc32(chunk, crc)
        proof.finish()
        target.flush()
        return crc

    def _is_whole(self, name: str, handle: BinaryIO) -> bool:
        crc = 0
        while chunk := handle.read(CHUNK):
            crc = zlib.crc32(chunk, crc)
        path = self.path(name)
        with suppress(OSError):
            if _note_path(path).read_text(encoding="ascii", errors="replace").strip() == f"{crc:08x}":
                return True
        # No note, or one of other compressed bytes (another mirror's, stored at the same time): the content decides.
        handle.seek(0)
        try:
            prove(name, handle)
        except StorageError:
            return False
        with suppress(OSError):  # a cache that may only be read is still a cache
            self._note(path, crc)
        return True

    def _note(self, path: Path, crc: int) -> None:
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.crc32.part")
        draft.write_text(f"{crc:08x}\n", encoding="ascii")
        draft.replace(_note_path(path))

    def _sweep(self, path: Path) -> None:
        for draft in path.parent.glob(f".{path.name}.*.part"):
            with suppress(OSError):
                if time.time() - draft.stat().st_mtime > _STALE_DRAFT:
                    draft.unlink()

    def _trouble(self, error: OSError) -> ArchiveError:
        return ArchiveError(
            f"bucket cache {self._folder}: {error.strerror or error}; make room there or choose another folder with "
            "--bucket-cache"
        )


def _note_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.crc32")
