"""Which ledgers a stream file holds and where, without decoding more than it takes to know."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.errors import BackendError, LedgerStreamError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.frames import (
    SNIFF_BYTES,
    Compression,
    FrameReader,
    Framing,
    compression_of,
    framing_of,
)
from aurora_ingest.ledger_backend.stream_taps import CHUNK

MARK: Final = 4
"""Bytes in front of each record: its length, with the top bit set."""
_HEAD: Final = 4096
"""Bytes of a LedgerCloseMeta that surely hold its ledger's sequence; a header has some hundred."""


@dataclass(frozen=True)
class StreamForm:
    """How ledgers stand in a file.

    Attributes:
        compression: told by the first bytes.
        framing: told by the first uncompressed bytes.
    """

    compression: Compression
    framing: Framing

    @property
    def seekable(self) -> bool:
        """Whether records can be skipped without reading them."""
        return self.compression == "none" and self.framing == "framed"

    @staticmethod
    def of(path: str) -> StreamForm:
        """Looks at the start of a file.

        Raises:
            LedgerStreamError: it is empty, or its compression is damaged at once.
            BackendError: it cannot be read.
        """
        try:
            with Path(path).open("rb") as handle:
                head = handle.read(SNIFF_BYTES)
            compression = compression_of(head)
            if compression != "none":
                codec = "gzip" if compression == "gzip" else "zstd"
                with pa.OSFile(path) as file, pa.CompressedInputStream(file, codec) as plain:
                    head = plain.read(SNIFF_BYTES)
        except pa.ArrowException as error:
            raise LedgerStreamError(f"{path}: {error}", path=path, offset=0) from error
        except OSError as error:
            # pyarrow tells damaged data by OSError, too, but without an errno.
            if error.errno is None:
                raise LedgerStreamError(f"{path}: {error}", path=path, offset=0) from error
            raise BackendError(f"{path}: {error.strerror or error}") from error
        if len(head) < SNIFF_BYTES:
            raise LedgerStreamError(f"{path}: {len(head)} bytes are no ledger", path=path, offset=0)
        return StreamForm(compression, framing_of(head))


@dataclass(frozen=True)
class StreamIndex:
    """The ledgers of a file.

    Attributes:
        ledgers: their sequences in file order; an immediate repetition counts once.
        places: byte of the uncompressed stream where each begins; 0 for all where there are no frames.
        fault: what is wrong behind the last of them: a truncated frame, damaged bytes; None for a clean end.
    """

    ledgers: tuple[int, ...]
    places: tuple[int, ...]
    fault: LedgerStreamError | None = None

    @property
    def extent(self) -> LedgerRange | None:
        """From the first to the last ledger; None if there is none."""
        return LedgerRange(self.ledgers[0], self.ledgers[-1]) if self.ledgers else None

    @staticmethod
    def of(path: str, form: StreamForm) -> StreamIndex:
        """Goes through a file: from record to record if it is plain, else by unpacking all of it.

        Raises:
            BackendError: it cannot be read.
        """
        found = _skipping(path) if form.seekable else _unpacking(path, form)
        ledgers: list[int] = []
        places: list[int] = []
        fault: LedgerStreamError | None = None
        try:
            for sequence, place in found:
                if ledgers and sequence == ledgers[-1]:
                    continue
                if ledgers and sequence < ledgers[-1]:
                    raise backwards(path, sequence, ledgers[-1], place)
                ledgers.append(sequence)
                places.append(place)
        except LedgerStreamError as error:
            fault = error
        except OSError as error:
            raise BackendError(f"{path}: {error.strerror or error}") from error
        return StreamIndex(tuple(ledgers), tuple(places), fault)

    def place_of(self, ledger: int) -> int:
        """Where to begin to read for a ledger: its own place, or the next one's that is there, else the last one's."""
        at = bisect_left(self.ledgers, ledger)
        return self.places[min(at, len(self.places) - 1)] if self.places else 0


def backwards(path: str, sequence: int, newest: int, place: int) -> LedgerStreamError:
    """The error for a ledger that comes after a newer one."""
    return LedgerStreamError(f"{path}: byte {place}: ledger {sequence} after ledger {newest}", path=path, offset=place)


def cut_off(path: str, place: int, claimed: int, left: int) -> LedgerStreamError:
    """The error for a record that the file does not hold to its end."""
    return LedgerStreamError(
        f"{path}: truncated frame at byte {place}: it claims {claimed} bytes, {left} are left", path=path, offset=place
    )


def _skipping(path: str) -> Iterator[tuple[int, int]]:
    size = Path(path).stat().st_size
    with Path(path).open("rb") as handle:
        place = 0
        while place < size:
            handle.seek(place)
            mark = handle.read(MARK)
            length = int.from_bytes(mark, "big") & 0x7FFF_FFFF
            left = size - place - MARK
            if len(mark) < MARK or length > left:
                raise cut_off(path, place, length if len(mark) == MARK else MARK, max(left, len(mark) - MARK, 0))
            try:
                sequence = _kernel.ledger_sequence_of(handle.read(min(length, _HEAD)))
            except ValueError as error:
                raise LedgerStreamError(f"{path}: frame at byte {place}: {error}", path=path, offset=place) from error
            yield sequence, place
            place += MARK + length


def _unpacking(path: str, form: StreamForm) -> Iterator[tuple[int, int]]:
    reader = FrameReader(path, form.framing, form.compression)
    place = 0
    with Path(path).open("rb") as handle:
        while chunk := handle.read(CHUNK):
            for sequence, ledger in reader.feed(chunk):
                yield sequence, place
                place += MARK + len(ledger) if form.framing == "framed" else 0
    for sequence, _ in reader.finish():
        yield sequence, place
