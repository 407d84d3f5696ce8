"""The buckets of an archive: opened at a mirror or in the cache, fetched ahead, rejected when they turn out bad."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final

from aurora_ingest.history_archive.bucket_cache import prove
from aurora_ingest.history_archive.paths import bucket_path
from aurora_ingest.history_archive.storage import BadFileError, StorageError
from aurora_ingest.history_archive.transfer import CHUNK, MirroredStream

if TYPE_CHECKING:
    from aurora_ingest.history_archive.bucket_cache import BucketCache
    from aurora_ingest.history_archive.mirrors import Mirrors

_SIZE_WORKERS: Final = 8


class BucketFile:
    """The compressed bytes of one bucket, and where they come from.

    Attributes:
        name: the bucket's hash.
        url: the address of the mirror, or the path of the cached file.
    """

    def __init__(self, buckets: Buckets, name: str, source: MirroredStream | BinaryIO) -> None:
        self.name = name
        self._buckets = buckets
        self._source = source

    @property
    def url(self) -> str:
        """Where the bytes come from now; a broken transfer may go on at another mirror."""
        if isinstance(self._source, MirroredStream):
            return self._source.storage.url
        return str(self._source.name)

    def read(self, size: int = CHUNK, /) -> bytes:
        """At most ``size`` bytes and at least one; ``b""`` at the end.

        Raises:
            ArchiveError: the transfer broke off and no mirror could go on.
        """
        return self._source.read(size)

    def reject(self, reason: str) -> None:
        """Says that the content is not the bucket of that name: the next opening will not give the same copy again."""
        self._buckets.reject(self.name, self.url, reason)

    def close(self) -> None:
        """Gives the connection or file back; may be called twice."""
        self._source.close()

    def __enter__(self) -> BucketFile:  # noqa: PYI034 - typing has Self only from Python 3.11 on
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Buckets:
    """Buckets of the mirrors, through a cache if there is one; local mirrors are read in place, never copied."""

    def __init__(self, mirrors: Mirrors, cache: BucketCache | None) -> None:
        self._mirrors = mirrors
        self._cache = cache

    def open(self, name: str, *, verify: bool | None = None) -> BucketFile:
        """Opens a bucket; see `HistoryArchive.open_bucket`."""
        if self._cache is not None and (cached := self._cache.open(name)) is not None:
            return BucketFile(self, name, cached)
        if verify is None:
            verify = len(self._mirrors.storages) > 1
        # One request for all attempts, so that a mirror whose copy is bad is not asked again.
        request = self._mirrors.request(bucket_path(name))
        while True:
            stream = MirroredStream(request)
            try:
                if self._cache is not None and not stream.storage.local:
                    with stream:
                        return BucketFile(self, name, self._cache.store(name, stream))
                if not verify:
                    return BucketFile(self, name, stream)
                with stream:
                    prove(name, stream)
                return BucketFile(self, name, MirroredStream(request))
            except StorageError as fault:
                request.fail(stream.storage, fault)

    def prefetch(self, names: Sequence[str], workers: int) -> None:
        """Fills the cache; see `HistoryArchive.prefetch`."""
        cache = self._cache
        if cache is None or self._mirrors.storages[0].local:
            return
        missing = [name for name in dict.fromkeys(names) if not cache.has(name)]
        with ThreadPoolExecutor(max(min(workers, len(missing)), 1), "bucket") as pool:
            try:
                for bucket in pool.map(self.open, missing):
                    bucket.close()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def sizes(self, names: Sequence[str]) -> tuple[int | None, ...]:
        """Compressed sizes; see `HistoryArchive.bucket_sizes`."""
        with ThreadPoolExecutor(_SIZE_WORKERS, "bucket-size") as pool:
            return tuple(pool.map(self._size, names))

    def reject(self, name: str, url: str, reason: str) -> None:
        """Takes a bad copy out of the cache, or remembers that a mirror has a bad one."""
        if self._cache is not None and url == str(self._cache.path(name)):
            self._cache.drop(name)
        else:
            self._mirrors.reject(bucket_path(name), url, BadFileError(reason))

    def _size(self, name: str) -> int | None:
        cached = self._cache.size(name) if self._cache is not None else None
        return self._mirrors.storages[0].size(bucket_path(name)) if cached is None else cached
