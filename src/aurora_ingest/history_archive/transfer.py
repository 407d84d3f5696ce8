"""Bytes of one file on their way from the mirrors: watched for stalls, and picked up again where they broke off."""

from __future__ import annotations

import zlib
from types import TracebackType
from typing import TYPE_CHECKING, Final

from aurora_ingest.history_archive.gzip_check import require_gzip
from aurora_ingest.history_archive.storage import BadFileError, Storage, StorageError, UnreachableError

if TYPE_CHECKING:
    from aurora_ingest.history_archive.mirrors import FileRequest
    from aurora_ingest.history_archive.retry import RetryPolicy
    from aurora_ingest.history_archive.storage import ByteSource, OpenFile

CHUNK: Final = 1 << 20
_PROGRESS: Final = 1 << 20
"""Bytes after which a broken transfer gets its full number of tries back."""


class WatchedSource:
    """A source that gives up when its storage delivers too slowly; time spent between reads does not count."""

    def __init__(self, source: ByteSource, policy: RetryPolicy) -> None:
        self._source = source
        self._policy = policy
        self._seconds = 0.0
        self._bytes = 0

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; ``b""`` at the end.

        Raises:
            StorageError: the source's own, or `UnreachableError` for a stalled transfer.
        """
        start = self._policy.clock()
        data = self._source.read(size)
        self._seconds += self._policy.clock() - start
        self._bytes += len(data)
        if self._seconds >= self._policy.slow_window:
            rate = self._bytes / self._seconds
            if rate < self._policy.slowest_rate:
                raise UnreachableError(f"stalled: {rate:.0f} bytes/s over {self._seconds:.0f} s")
            self._seconds, self._bytes = 0.0, 0
        return data

    def close(self) -> None:
        """Closes the source."""
        self._source.close()


class MirroredStream:
    """A gzip file read from whichever mirror has it; a break is mended from the same mirror or another.

    Mirrors need not hold the same compressed bytes. Where a mirror must be read again from the start, what was given
    out already is compared by length and CRC-32 before the rest is given out; what the file holds is for the reader to
    prove by its SHA-256.

    Attributes:
        storage: the mirror being read.
        size: compressed bytes of the file, if the mirror said so.
    """

    def __init__(self, request: FileRequest) -> None:
        """Opens the file at the first mirror that has something like gzip there.

        Raises:
            AuroraError: as `FileRequest.run`.
        """
        self._request = request
        self._place = 0
        self._crc = 0
        self._opened_at = 0
        self._head = b""
        self._source: ByteSource | None = None
        self._validator: str | None = None
        self.storage: Storage
        self.size: int | None = None
        request.run(self._open)

    @property
    def place(self) -> int:
        """Compressed bytes given out so far."""
        return self._place

    def read(self, size: int = CHUNK, /) -> bytes:
        """At most ``size`` bytes and at least one; ``b""`` at the end of the file.

        Raises:
            AuroraError: the file broke off and no mirror could go on; as `FileRequest.run`.
        """
        while True:
            if self._head:
                data, self._head = self._head[:size], self._head[size:]
            elif self._source is None:
                return b""
            else:
                try:
                    data = self._source.read(size)
                except StorageError as fault:
                    self._mend(fault)
                    continue
            self._place += len(data)
            self._crc = zlib.crc32(data, self._crc)
            return data

    def close(self) -> None:
        """Gives the connection back; may be called twice."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def __enter__(self) -> MirroredStream:  # noqa: PYI034 - typing has Self only from Python 3.11 on
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _mend(self, fault: StorageError) -> None:
        progress = self._place - self._opened_at
        if progress >= _PROGRESS:
            self._request.forgive()
        self.close()
        if progress and self._validator is not None and isinstance(fault, UnreachableError):
            # The same mirror can go on in the middle; others would have to be read from the start.
            try:
                self._open(self.storage)
            except StorageError as again:
                fault = again
            else:
                return
        self._request.fail(self.storage, fault)
        self._request.run(self._open)

    def _open(self, storage: Storage) -> None:
        self.close()
        same = getattr(self, "storage", None) is storage
        opened = storage.open(
            self._request.path, start=self._place if same else 0, validator=self._validator if same else None
        )
        source = opened.source if storage.local else WatchedSource(opened.source, self._request.policy)
        try:
            self._head = _skip(source, opened.start, self._place, self._crc)
        except StorageError:
            source.close()
            raise
        self._take(storage, opened, source)

    def _take(self, storage: Storage, opened: OpenFile, source: ByteSource) -> None:
        self.storage = storage
        self.size = opened.size
        self._validator = opened.validator
        self._source = source
        self._opened_at = self._place


def _skip(source: ByteSource, start: int, place: int, crc: int) -> bytes:
    """Passes over bytes that were given out before; at the start of a file, gives its checked first bytes back.

    Args:
        source: a file opened at byte ``start``, which is ``place`` or 0.
        start: see there.
        place: bytes given out before.
        crc: their CRC-32.

    Raises:
        BadFileError: the bytes are others, or the file does not start as gzip.
        StorageError: the source's own.
    """
    if place == 0:
        head = b""
        while len(head) < 2 and (data := source.read(CHUNK)):
            head += data
        require_gzip(head)
        return head
    if start == place:
        return b""
    seen = 0
    left = place
    while left:
        data = source.read(min(left, CHUNK))
        if not data:
            raise BadFileError(f"ends after {place - left} bytes, where another mirror has more than {place}")
        seen = zlib.crc32(data, seen)
        left -= len(data)
    if seen != crc:
        raise BadFileError(f"its first {place} bytes are not those of the mirror that broke off there")
    return b""
