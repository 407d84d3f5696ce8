"""Ledgers out of bytes: the kernel's frame reader, with its faults told in the words of this room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from aurora_ingest import _kernel
from aurora_ingest.errors import LedgerStreamError

Framing: TypeAlias = Literal["framed", "batch", "single"]
Compression: TypeAlias = Literal["gzip", "zstd", "none"]

MAX_INFLATED: Final = 4 << 30
"""Uncompressed bytes above which one file of a lake is refused."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_MARK: Final = 0x8000_0000
_LEDGER_VERSIONS: Final = range(3)
_PIECE: Final = 256 << 10
SNIFF_BYTES: Final = 4
"""How many first bytes tell the compression, and how many uncompressed ones the framing."""


def compression_of(head: bytes) -> Compression:
    """How a file is compressed, by its first bytes."""
    if head.startswith(_GZIP):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD) else "none"


def framing_of(head: bytes) -> Framing:
    """How ledgers stand in a file, by its first four uncompressed bytes.

    A framed record starts with its length and the top bit set; a bare LedgerCloseMeta with its version, 0 to 2; a
    batch with the sequence of its first ledger.
    """
    number = int.from_bytes(head[:SNIFF_BYTES], "big")
    if number & _MARK:
        return "framed"
    return "single" if number in _LEDGER_VERSIONS else "batch"


class FrameReader:
    """Ledgers completed chunk by chunk, with the place in the uncompressed stream at which each record starts.

    Args:
        path: the file, for messages.
        framing: how ledgers stand in it.
        compression: of the chunks.
        max_inflated: uncompressed bytes above which the stream is refused; None for any size.
        base: byte of the stream that the first chunk starts at.
    """

    def __init__(
        self, path: str, framing: Framing, compression: Compression, max_inflated: int | None = None, base: int = 0
    ) -> None:
        self._path = path
        self._base = base
        # A damaged ledger is left to whoever decodes it, and can be told, or put aside, as one ledger or transaction. A
        # batch has no frames: its ledgers are walked as far as it takes to know where one ends.
        self._frames = _kernel.LedgerFrames(
            framing=framing, compression=compression, max_inflated=max_inflated, validate=False
        )

    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """Sequence and LedgerCloseMeta of every ledger that the chunk completed.

        Raises:
            LedgerStreamError: the bytes are damaged.
        """
        try:
            return self._frames.feed(chunk)
        except ValueError as error:
            raise self._fault(error) from error

    def finish(self) -> list[tuple[int, bytes]]:
        """The ledgers that the end of the stream completed.

        Raises:
            LedgerStreamError: the stream ends inside a record.
        """
        try:
            return self._frames.finish()
        except ValueError as error:
            raise self._fault(error) from error

    @property
    def inflated(self) -> int:
        """Uncompressed bytes so far."""
        return self._frames.uncompressed_bytes

    def _fault(self, error: ValueError) -> LedgerStreamError:
        offset = getattr(error, "offset", None)
        counted = f" (bytes and records counted from byte {self._base})" if self._base else ""
        place = None if offset is None else self._base + offset
        return LedgerStreamError(f"{self._path}: {error}{counted}", path=self._path, offset=place)


def ledgers_of_file(path: str, data: bytes, framing: Framing) -> Iterator[tuple[int, bytes]]:
    """The ledgers of a whole file.

    Args:
        path: the file, for messages.
        data: its bytes; the compression is told by them.
        framing: how ledgers stand in it.

    Raises:
        LedgerStreamError: the bytes are damaged or cut off.
    """
    reader = FrameReader(path, framing, compression_of(data), MAX_INFLATED)
    # In pieces: a file of many ledgers is then never in memory unpacked as a whole. The last ledger waits until the end
    # of the file was seen to be right.
    held: list[tuple[int, bytes]] = []
    for start in range(0, len(data), _PIECE):
        held += reader.feed(data[start : start + _PIECE])
        yield from held[:-1]
        del held[:-1]
    yield from [*held, *reader.finish()]
