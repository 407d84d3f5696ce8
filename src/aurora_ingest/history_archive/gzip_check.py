"""Gzip as it arrives: inflated in pieces of bounded size, and refused with the reason as soon as it is not right."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from aurora_ingest.history_archive.storage import BadFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_PIECE: Final = 1 << 20


class GzipInflater:
    """Push parser of a gzip file of one or more members.

    Attributes:
        compressed_bytes: bytes fed so far.
        inflated_bytes: bytes given out so far.
    """

    def __init__(self, limit: int | None = None) -> None:
        """Starts before the first byte.

        Args:
            limit: inflated bytes above which the file is refused; None for any size.
        """
        self.compressed_bytes = 0
        self.inflated_bytes = 0
        self._limit = limit
        self._head = b""
        self._member: zlib._Decompress | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Inflates the next bytes of the file; the result must be read to its end.

        Yields:
            inflated bytes in pieces of at most 1 MiB.

        Raises:
            BadFileError: the bytes are not gzip, a checksum is wrong, or the limit is passed.
        """
        self.compressed_bytes += len(chunk)
        while chunk:
            if self._member is None:
                self._head += chunk
                if len(self._head) < len(_MAGIC):
                    return
                chunk, self._head = self._head, b""
                require_gzip(chunk, "trailing bytes" if self.inflated_bytes else "")
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            member = self._member
            try:
                piece = member.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise BadFileError(
                    f"broken gzip in the first {self.compressed_bytes} bytes: {str(error).removeprefix('Error ')}"
                ) from error
            self.inflated_bytes += len(piece)
            if self._limit is not None and self.inflated_bytes > self._limit:
                raise BadFileError(f"inflates to more than {self._limit} bytes")
            if piece:
                yield piece
            chunk = member.unconsumed_tail
            if member.eof:
                chunk = member.unused_data
                self._member = None

    def finish(self) -> Iterator[bytes]:
        """Gives out what the decompressor still holds; call it at the end of the file and read it to its end.

        Raises:
            BadFileError: the file is empty or ends inside a member.
        """
        if self._member is not None:
            # With every byte consumed the decompressor may still hold output: it stops at the piece limit.
            while piece := self._member.decompress(self._member.unconsumed_tail, _PIECE):
                self.inflated_bytes += len(piece)
                yield piece
            if self._member.eof:
                self._member = None
        if self.compressed_bytes == 0:
            raise BadFileError("empty file")
        if self._member is not None or self._head:
            raise BadFileError(f"gzip cut short after {self.compressed_bytes} bytes")


def gunzip(data: bytes, limit: int) -> bytes:
    """Inflates a whole small file.

    Args:
        data: the compressed file.
        limit: inflated bytes above which the file is refused.

    Raises:
        BadFileError: not one whole gzip file, or too large.
    """
    inflater = GzipInflater(limit)
    pieces = [*inflater.feed(data), *inflater.finish()]
    return b"".join(pieces)


def require_gzip(head: bytes, what: str = "") -> None:
    """Refuses a file that does not start as gzip does.

    Args:
        head: the first bytes; two are enough, more make the message better.
        what: what these bytes are, if not the start of the file.

    Raises:
        BadFileError: saying what it seems to be instead.
    """
    if head[:2] == _MAGIC:
        return
    if not head:
        raise BadFileError("empty file")
    start = head[:256].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        raise BadFileError("an HTML or XML page instead of a gzip file")
    raise BadFileError(f"not a gzip file: {what or 'it'} starts with {head[:8].hex()}")
