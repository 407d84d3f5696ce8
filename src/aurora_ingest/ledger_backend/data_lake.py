"""Ledgers from a SEP-54 data lake, as Galexie writes them, on a local disk, in gs:// or in s3://."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from aurora_ingest.errors import LedgerStreamError, MissingLedgersError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import (
    FIRST_CLOSED_LEDGER,
    BackendOptions,
    RawLedger,
    follow_by_polling,
    missing,
)
from aurora_ingest.ledger_backend.frames import ledgers_of_file
from aurora_ingest.ledger_backend.lake_index import LakeIndex
from aurora_ingest.ledger_backend.lake_layout import LakeFile
from aurora_ingest.ledger_backend.prefetch import prefetched
from aurora_ingest.network import Network
from aurora_ingest.object_store.store import open_store


class DataLake:
    """A data lake; picklable.

    Args:
        url: ``file://…``, a plain path, ``gs://bucket/prefix`` or ``s3://bucket/prefix``.
        network: the network that it must be of.
        options: how to read.

    Raises:
        UsageError: an address that no storage reads.
    """

    name = "data-lake"
    repeatable = True

    def __init__(self, url: str, network: Network, options: BackendOptions | None = None) -> None:
        self._asked = (url, network, options or BackendOptions())
        self.options = options or BackendOptions()
        self.index = LakeIndex(open_store(url, self.options.retry), network, self.options)
        self.url = self.index.storage.url

    def __reduce__(self) -> tuple[type[DataLake], tuple[object, ...]]:
        """Pickles what was asked for, not the open connections."""
        return DataLake, self._asked

    def describe(self) -> str:
        """The lake's address."""
        return f"data lake {self.url}"

    def has_genesis(self) -> bool:
        """A lake starts with ledger 2."""
        return False

    def check(self, ledgers: LedgerRange) -> None:
        """Lists the lake for the files of the range.

        Raises:
            MissingLedgersError: files are not there; names the holes.
            LakeConflictError: the lake contradicts itself.
            NetworkMismatchError: it is of another network.
            BackendError: there is no lake, or the storage does not answer.
        """
        self._require_closed(ledgers)
        found = self.index.holes(ledgers)
        if found:
            raise self.index.missing(found)

    def available(self) -> LedgerRange | None:
        """From the lowest to the highest ledger; None if the lake is empty. Raises as `check`."""
        return self.index.extent()

    def read(self, ledgers: LedgerRange) -> Iterator[RawLedger]:
        """Gives exactly these ledgers; files are fetched ahead by several threads. See `LedgerBackend.read`."""
        self._require_closed(ledgers)
        done = ledgers.first - 1
        try:
            for file, data in self._fetched(self.index.layout.files(ledgers)):
                for raw in self._ledgers(file, data, ledgers):
                    yield raw
                    done = raw.sequence
        except MissingLedgersError as error:
            # The error of one file; the user wants to know the whole hole, and all others.
            left = LedgerRange(done + 1, ledgers.last)
            raise self.index.missing(self.index.holes(left) or list(error.ranges)) from error

    def follow(self, first: int, stop: Callable[[], bool]) -> Iterator[RawLedger]:
        """Gives the ledgers from ``first`` on as their files appear; see `LedgerBackend.follow`."""
        return follow_by_polling(self.read, self.index.newest, first, stop, self.options)

    def _require_closed(self, ledgers: LedgerRange) -> None:
        """Refuses ledger 1, whose place in the first file is empty.

        Raises:
            MissingLedgersError: the range starts with it.
        """
        if ledgers.first < FIRST_CLOSED_LEDGER:
            raise missing(self.describe(), [LedgerRange(1, 1)], ": it is genesis, which no lake has")

    def _fetched(self, files: Iterable[LakeFile]) -> Iterator[tuple[LakeFile, bytes]]:
        if self.index.storage.local:
            # Threads only get into each other's way here: measured, a third of the speed.
            return ((file, self.index.fetch(file)) for file in files)
        return prefetched(files, self.index.fetch, len, self.options.workers, self.options.buffer_bytes)

    def _ledgers(self, file: LakeFile, data: bytes, wanted: LedgerRange) -> Iterator[RawLedger]:
        origin = f"{self.url}/{self.index.base}{file.path}"
        expected = file.ledgers.first
        for sequence, ledger in ledgers_of_file(origin, data, "batch"):
            if sequence != expected or sequence not in file.ledgers:
                raise LedgerStreamError(
                    f"{origin}: holds ledger {sequence} where {expected} is expected; by its name it has ledgers "
                    f"{file.ledgers}",
                    path=origin,
                )
            expected += 1
            if sequence in wanted:
                yield RawLedger(sequence, ledger, origin)
        if expected <= file.ledgers.last:
            raise LedgerStreamError(
                f"{origin}: ends before ledger {expected}; by its name it has ledgers {file.ledgers}", path=origin
            )
