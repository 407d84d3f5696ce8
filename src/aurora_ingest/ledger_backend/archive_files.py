"""Ledgers from the ledger, transactions and results files of a history archive, which know no changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from aurora_ingest import _kernel
from aurora_ingest.errors import ArchiveFileCorruptError, ArchiveFileMissingError, LedgerStreamError
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.history_archive.gzip_check import gunzip
from aurora_ingest.history_archive.paths import checkpoint_path
from aurora_ingest.ledger.checkpoint import checkpoint_ledgers, checkpoints_of
from aurora_ingest.ledger.header import headers_of, read_headers, verify_headers
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend import assembly
from aurora_ingest.ledger_backend.backend import BackendOptions, RawLedger, follow_by_polling, holes, missing
from aurora_ingest.network import Network

_CATEGORIES: Final = ("ledger", "transactions", "results")
_MAX_FILE: Final = 2 << 30
"""Bytes of one file, inflated; 64 busy ledgers of pubnet are some tens of megabytes."""
_WORKERS: Final = 2
"""Checkpoints fetched at the same time: each is three files and holds up to 64 ledgers in memory."""


class ArchiveFiles:
    """A history archive as a source of ledgers; picklable.

    Args:
        urls: mirrors in order of preference: ``file://``, ``http(s)://``, ``gs://`` or a plain path.
        network: the network that it must be of.
        options: how to read.

    Raises:
        UsageError: no address, or one that no storage reads.
    """

    name = "archive-files"
    repeatable = True

    def __init__(self, urls: Sequence[str], network: Network, options: BackendOptions | None = None) -> None:
        self.network = network
        self.options = options or BackendOptions()
        self._urls = tuple(urls)
        self._archive = HistoryArchive(self._urls, network, retry=self.options.retry)

    def __reduce__(self) -> tuple[type[ArchiveFiles], tuple[object, ...]]:
        """Pickles what was asked for, not the open connections."""
        return ArchiveFiles, (self._urls, self.network, self.options)

    def describe(self) -> str:
        """The archive's addresses."""
        return f"history archive {', '.join(self._urls)}"

    def has_genesis(self) -> bool:
        """The first ledger file starts with the header of ledger 1."""
        return True

    def available(self) -> LedgerRange:
        """From ledger 1 to the newest checkpoint; a copy may lack older files.

        Raises:
            ArchiveError: the archive's state cannot be read.
            NetworkMismatchError: it is of another network.
        """
        return LedgerRange(1, self._archive.latest_checkpoint())

    def check(self, ledgers: LedgerRange) -> None:
        """Compares the range with the newest checkpoint, and looks for the files where that costs no network.

        Raises:
            MissingLedgersError: ledgers are not there; names the holes.
            ArchiveError: the archive's state cannot be read.
            NetworkMismatchError: it is of another network.
        """
        there = self.available()
        if ledgers.last > there.last:
            beyond = LedgerRange(max(ledgers.first, there.last + 1), ledgers.last)
            raise missing(self.describe(), [beyond], f"; its newest checkpoint is {there.last}")
        frequency = self.network.checkpoint_frequency
        lost: list[LedgerRange] = []
        for checkpoint in checkpoints_of(ledgers, frequency):
            if any(self._archive.lacks(checkpoint_path(category, checkpoint)) for category in _CATEGORIES):
                lost.extend(filter(None, [checkpoint_ledgers(checkpoint, frequency).intersection(ledgers)]))
        found = holes(ledgers, (n for n in ledgers if not any(n in each for each in lost))) if lost else []
        if found:
            raise missing(self.describe(), found, ": files of their checkpoints are not in the archive")

    def read(self, ledgers: LedgerRange) -> Iterator[RawLedger]:
        """Gives exactly these ledgers, without what they changed; see `LedgerBackend.read`.

        Raises:
            ArchiveError: a file is not what it should be at any mirror.
            HashMismatchError: a header does not prove itself, unless the sets are not to be judged.
        """
        from aurora_ingest.ledger_backend.prefetch import prefetched

        checkpoints = checkpoints_of(ledgers, self.network.checkpoint_frequency)
        fetch = partial(self._checkpoint, wanted=ledgers)
        for _, found in prefetched(checkpoints, fetch, _size, _WORKERS, self.options.buffer_bytes):
            yield from found

    def follow(self, first: int, stop: Callable[[], bool]) -> Iterator[RawLedger]:
        """Gives the ledgers from ``first`` on as checkpoints are published; see `LedgerBackend.follow`."""
        return follow_by_polling(self.read, self._archive.latest_checkpoint, first, stop, self.options)

    def _checkpoint(self, checkpoint: int, wanted: LedgerRange) -> list[RawLedger]:
        """The wanted ledgers of one checkpoint."""
        ledgers = checkpoint_ledgers(checkpoint, self.network.checkpoint_frequency)
        part = ledgers.intersection(wanted)
        assert part is not None  # the checkpoints are those of the range
        try:
            headers = self._headers(checkpoint, ledgers)
            sets = self._records("transactions", checkpoint, ledgers)
            results = self._records("results", checkpoint, ledgers)
        except ArchiveFileMissingError as error:
            raise missing(self.describe(), [part], f": {error}") from error
        return [
            self._ledger(
                sequence, headers[sequence - ledgers.first], sets.get(sequence), results.get(sequence), checkpoint
            )
            for sequence in part
        ]

    def _headers(self, checkpoint: int, ledgers: LedgerRange) -> list[bytes]:
        """LedgerHeaderHistoryEntry of each ledger of the checkpoint."""
        path = checkpoint_path("ledger", checkpoint)

        def parse(data: bytes) -> list[bytes]:
            plain = gunzip(data, _MAX_FILE)
            batch = read_headers(plain, self.network, ledgers, path)
            if self.options.judge_sets:
                verify_headers(headers_of(batch), ledgers, path)
            sequences = batch.column("ledger_sequence").to_pylist()  # 64 numbers
            if sequences != list(ledgers):
                raise ArchiveFileCorruptError(_disorder(path, sequences, ledgers))
            return _split(plain, path)

        return self._archive.document(path, _MAX_FILE, parse)

    def _records(self, category: str, checkpoint: int, ledgers: LedgerRange) -> dict[int, bytes]:
        """TransactionHistoryEntry or TransactionHistoryResultEntry by ledger; an empty ledger has none."""
        path = checkpoint_path(category, checkpoint)

        def parse(data: bytes) -> dict[int, bytes]:
            found: dict[int, bytes] = {}
            newest = ledgers.first - 1
            for record in _split(gunzip(data, _MAX_FILE), path):
                sequence = int.from_bytes(record[:4], "big")
                if not newest < sequence <= ledgers.last:
                    raise ArchiveFileCorruptError(
                        f"{path}: record {len(found)} is of ledger {sequence}, "
                        f"expected one of {newest + 1}-{ledgers.last}"
                    )
                found[sequence] = record
                newest = sequence
            return found

        return self._archive.document(path, _MAX_FILE, parse)

    def _ledger(
        self, sequence: int, header: bytes, entry: bytes | None, result_entry: bytes | None, checkpoint: int
    ) -> RawLedger:
        """One LedgerCloseMeta without changes; a ledger without records is an empty one."""
        origin = f"ledger {sequence} in {checkpoint_path('transactions', checkpoint)}"
        try:
            facts = assembly.HeaderFacts.of(header[32:])
            transactions = assembly.empty_set(facts) if entry is None else assembly.set_of_entry(entry)
            # The record: sequence, results, a union's arm 0.
            results = _kernel.xdr_split("TransactionResultPair", result_entry[8:-4]) if result_entry else []
        except ValueError as error:
            raise LedgerStreamError(f"{origin}: {error}", path=origin) from error
        if self.options.judge_sets:
            empty = entry is None or assembly.is_empty(transactions, facts)
            self._judge(origin, facts, transactions if empty else None, has_results=bool(results))
        data = assembly.ledger_close_meta(header, transactions, assembly.without_meta(results))
        return RawLedger(sequence, data, origin, has_meta=False)

    def _judge(
        self, origin: str, facts: assembly.HeaderFacts, empty: assembly.TransactionSet | None, *, has_results: bool
    ) -> None:
        """Refuses a ledger with a record missing from one file or from both.

        Raises:
            LedgerStreamError: there is no transaction set though the header names one, or only one of two records.
        """
        fault = ""
        if empty is not None and not assembly.is_proven(empty, facts):
            fault = f"no transaction set, but the header names {facts.set_hash.hex()}, which is not an empty one"
        elif empty is None and not has_results:
            fault = "a transaction set without results"
        elif empty is not None and has_results:
            fault = "results without a transaction set"
        if fault:
            raise LedgerStreamError(f"{origin} of {self.describe()}: {fault}", path=origin)


def _split(plain: bytes, path: str) -> list[bytes]:
    """The bodies of framed records.

    Raises:
        ArchiveFileCorruptError: a record is cut off.
    """
    records: list[bytes] = []
    place = 0
    while place < len(plain):
        end = place + 4 + (int.from_bytes(plain[place : place + 4], "big") & 0x7FFF_FFFF)
        if end > len(plain):
            raise ArchiveFileCorruptError(
                f"{path}: record {len(records)} at byte {place} claims {end - place - 4} bytes, "
                f"{len(plain) - place - 4} are left"
            )
        records.append(plain[place + 4 : end])
        place = end
    return records


def _disorder(path: str, sequences: list[int], ledgers: LedgerRange) -> str:
    for place, (found, expected) in enumerate(zip(sequences, ledgers, strict=False)):
        if found != expected:
            return f"{path}: header {place} is of ledger {found}, expected {expected}"
    return f"{path}: holds {len(sequences)} ledger headers, expected ledgers {ledgers}"


def _size(found: list[RawLedger]) -> int:
    return sum(len(raw.data) for raw in found)
