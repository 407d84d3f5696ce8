"""Ledgers from what stellar-core writes to METADATA_OUTPUT_STREAM: a file, a named pipe or standard input.

A stream has three endings, and they are told apart: the clean one between two ledgers; a frame that a file holds only
in part; and a writer that went away, or fell silent, inside of a frame.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from aurora_ingest.errors import BackendError, DeadWriterError, LedgerStreamError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import BackendOptions, RawLedger, holes, missing
from aurora_ingest.ledger_backend.frames import FrameReader, compression_of
from aurora_ingest.ledger_backend.stream_index import MARK, StreamForm, StreamIndex, backwards
from aurora_ingest.ledger_backend.stream_taps import STDIN, FileTap, PipeTap, Silence, Tap, is_pipe
from aurora_ingest.network import Network
from aurora_ingest.object_store.store import folder_of_url

_log = logging.getLogger(__name__)


class MetaStream:
    """A stream of LedgerCloseMeta; picklable.

    Args:
        url: ``file://…``, a plain path of a file or a named pipe, or ``-`` for standard input. A file may be plain,
            gzip or zstandard, and hold frames, one batch of a data lake, or one bare ledger; a pipe holds frames.
        network: not told by a stream: transaction hashes show it when the ledgers are decoded.
        options: how to read.

    Raises:
        UsageError: an address of another host.
    """

    name = "meta-stream"

    def __init__(self, url: str, network: Network, options: BackendOptions | None = None) -> None:
        self._asked = (url, network, options or BackendOptions())
        self.options = options or BackendOptions()
        self.network = network
        self.path = STDIN if url == STDIN else str(folder_of_url(url))
        self._index: tuple[tuple[int, int], StreamIndex] | None = None

    def __reduce__(self) -> tuple[type[MetaStream], tuple[object, ...]]:
        """Pickles what was asked for."""
        return MetaStream, self._asked

    @property
    def repeatable(self) -> bool:
        """Whether it is a file; a pipe can be read once only."""
        return not is_pipe(self.path)

    def describe(self) -> str:
        """The stream's name."""
        if self.path == STDIN:
            return "standard input"
        return f"pipe {self.path}" if is_pipe(self.path) else f"stream {self.path}"

    def has_genesis(self) -> bool:
        """Whether the file holds ledger 1; core writes none, converted ones may."""
        there = self.available()
        return there is not None and there.first == 1

    def available(self) -> LedgerRange | None:
        """From the first to the last whole ledger of a file; None for a pipe.

        Raises:
            LedgerStreamError: the file has no whole ledger.
            BackendError: it cannot be read.
        """
        if is_pipe(self.path):
            return None
        index = self._indexed()
        if index.fault is not None:
            if index.extent is None:
                raise index.fault
            _log.warning("%s; its ledgers before that are %s", index.fault, index.extent)
        return index.extent

    def check(self, ledgers: LedgerRange) -> None:
        """Goes through a file for the ledgers of the range; a pipe cannot be looked into.

        Raises:
            MissingLedgersError: ledgers are not there; names the holes.
            LedgerStreamError: the file is cut off or damaged before the last of them.
            BackendError: it cannot be read.
        """
        if is_pipe(self.path):
            return
        index = self._indexed()
        lost = holes(ledgers, index.ledgers)
        if lost:
            if index.fault is not None and (not index.ledgers or lost[-1].last > index.ledgers[-1]):
                raise index.fault
            raise missing(self.describe(), lost, f"; it has ledgers {index.extent}" if index.extent else "")

    def read(self, ledgers: LedgerRange) -> Iterator[RawLedger]:
        """Gives exactly these ledgers; see `LedgerBackend.read`.

        Raises:
            DeadWriterError: the writer of a pipe went away or fell silent before the last ledger was whole.
        """
        expected = ledgers.first
        for raw in self._ledgers(lambda: False, ledgers.first, follows=False):
            if raw.sequence > expected:
                lost = LedgerRange(expected, min(raw.sequence - 1, ledgers.last))
                raise missing(self.describe(), [lost], f": ledger {raw.sequence} comes next")
            yield raw
            if raw.sequence == ledgers.last:
                return
            expected = raw.sequence + 1
        after = f" after ledger {expected - 1}" if expected > ledgers.first else ""
        raise missing(self.describe(), [LedgerRange(expected, ledgers.last)], f": the stream ends{after}, cleanly")

    def follow(self, first: int, stop: Callable[[], bool]) -> Iterator[RawLedger]:
        """Gives the ledgers from ``first`` on as they are written; see `LedgerBackend.follow`.

        It ends when a pipe's writer closes it between two ledgers. A file is taken for one that grows.

        Raises:
            DeadWriterError: the writer went away or fell silent inside of a ledger.
        """
        expected = first
        for raw in self._ledgers(stop, first, follows=True):
            if raw.sequence > expected:
                lost = LedgerRange(expected, raw.sequence - 1)
                raise missing(self.describe(), [lost], f": ledger {raw.sequence} comes next")
            yield raw
            expected = raw.sequence + 1

    # --- Frames -------------------------------------------------------------------------------------------------------
    def _ledgers(self, stop: Callable[[], bool], first: int, *, follows: bool) -> Iterator[RawLedger]:
        """The ledgers from ``first`` on, ascending, until the stream ends cleanly."""
        newest = 0
        for sequence, data, place in self._records(stop, first, follows=follows):
            if sequence < newest:
                raise backwards(self.describe(), sequence, newest, place)
            if sequence == newest:
                # A restarted core writes its last ledger once more.
                _log.info("%s: ledger %d comes again at byte %d and is left out", self.describe(), sequence, place)
            elif sequence >= first:
                yield RawLedger(sequence, data, f"{self.describe()}, byte {place}")
            newest = sequence

    def _records(self, stop: Callable[[], bool], first: int, *, follows: bool) -> Iterator[tuple[int, bytes, int]]:
        """Every record with its place in the uncompressed stream."""
        pipe = is_pipe(self.path)
        tap, start, form = self._open(first, pipe=pipe, follows=follows)
        silence = Silence(self.options.silence, self.options.retry.clock)
        reader: FrameReader | None = None
        head, place = b"", start
        try:
            while not stop():
                chunk = tap.read()
                if chunk is None:
                    inside = bool(head) or (reader is not None and start + reader.inflated > place)
                    self._judge(silence, place, inside=inside)
                    if not pipe:
                        self.options.sleep(self.options.poll_interval)
                    continue
                silence.broken()
                if reader is None:
                    head += chunk
                    if chunk and len(head) < MARK:
                        continue
                    chunk, head = head or chunk, b""
                    compression = compression_of(chunk) if form is None else form.compression
                    framing = "framed" if form is None else form.framing
                    reader = FrameReader(self.describe(), framing, compression, base=start)
                for sequence, data in self._fed(reader, chunk, place, pipe=pipe):
                    yield sequence, data, place
                    if form is None or form.framing == "framed":
                        place += MARK + len(data)
                if not chunk:
                    return
        finally:
            tap.close()

    def _judge(self, silence: Silence, place: int, *, inside: bool) -> None:
        """Takes a writer for dead that stays silent inside of a frame.

        Between ledgers it may take its time: core catches up for hours before its first one.

        Raises:
            DeadWriterError: it does.
        """
        if silence.too_long:
            if inside:
                raise self._dead(place, f"has been silent for {silence.limit:g} s")
            _log.info("%s: nothing for %g s after byte %d; waiting", self.describe(), silence.limit, place)
            silence.broken()

    def _fed(self, reader: FrameReader, chunk: bytes, place: int, *, pipe: bool) -> list[tuple[int, bytes]]:
        """What a chunk, or the end of the stream, completes."""
        if chunk:
            return reader.feed(chunk)
        try:
            return reader.finish()
        except LedgerStreamError as error:
            if not pipe:
                raise
            raise self._dead(error.offset or place, "closed it") from error

    def _dead(self, place: int, what: str) -> DeadWriterError:
        message = f"{self.describe()}: its writer {what} inside of the frame at byte {place}"
        return DeadWriterError(message, path=self.path, offset=place)

    def _open(self, first: int, *, pipe: bool, follows: bool) -> tuple[Tap, int, StreamForm | None]:
        """The tap, the byte that it starts at, and what is known of a file's form."""
        if pipe:
            return PipeTap(self.path, self.options.poll_interval), 0, None
        if follows and not self._begun():
            return FileTap(self.path, grows=True), 0, None
        form = StreamForm.of(self.path)
        start = self._indexed().place_of(first) if form.seekable else 0
        return FileTap(self.path, start, grows=follows), start, form

    def _begun(self) -> bool:
        """Whether a file that grows has enough bytes to tell what it is.

        Raises:
            BackendError: it cannot be read.
        """
        try:
            StreamForm.of(self.path)
        except LedgerStreamError:
            return False
        return True

    def _indexed(self) -> StreamIndex:
        try:
            stat = Path(self.path).stat()
        except OSError as error:
            raise BackendError(f"{self.describe()}: {error.strerror or error}") from error
        version = (stat.st_size, stat.st_mtime_ns)
        if self._index is None or self._index[0] != version:
            self._index = version, StreamIndex.of(self.path, StreamForm.of(self.path))
        return self._index[1]
