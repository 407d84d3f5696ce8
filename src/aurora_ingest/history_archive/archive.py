"""One history archive behind several mirrors: its states, headers, proven checkpoints and buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from aurora_ingest.errors import (
    ArchiveError,
    ArchiveFileMissingError,
    ArchiveStateError,
    NetworkMismatchError,
    TrustError,
)
from aurora_ingest.history_archive import trust
from aurora_ingest.history_archive.archive_state import MAX_STATE_BYTES, ArchiveState, parse_archive_state
from aurora_ingest.history_archive.bucket_cache import BucketCache
from aurora_ingest.history_archive.buckets import BucketFile, Buckets
from aurora_ingest.history_archive.gzip_check import gunzip
from aurora_ingest.history_archive.mirrors import Mirrors
from aurora_ingest.history_archive.paths import checkpoint_path
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import BadFileError
from aurora_ingest.history_archive.transfer import CHUNK, WatchedSource
from aurora_ingest.history_archive.trust import VerifiedCheckpoint
from aurora_ingest.ledger.checkpoint import checkpoint_ledgers, is_checkpoint, require_checkpoint
from aurora_ingest.ledger.header import LedgerHeader, headers_of, read_headers, verify_headers
from aurora_ingest.network import Network

if TYPE_CHECKING:
    import pyarrow as pa

    from aurora_ingest.history_archive.storage import ByteSource, Storage

__all__ = ["BucketFile", "HistoryArchive", "VerifiedCheckpoint"]

_MAX_LEDGER_FILE: Final = 64 << 20
"""Bytes of a ledger file, compressed and inflated; 64 real headers are about 40 kB."""
_T = TypeVar("_T")


class HistoryArchive:
    """A history archive; picklable, so that every worker can open its own connections.

    Args:
        urls: mirrors in order of preference: ``file://``, ``http(s)://``, ``gs://`` or a plain path.
        network: the network it must be of.
        cache_dir: folder for buckets downloaded from remote mirrors; None streams them.
        retry: how patient to be per file.

    Raises:
        UsageError: no address, or one that no storage reads.
    """

    def __init__(
        self,
        urls: Sequence[str],
        network: Network,
        cache_dir: Path | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.urls = tuple(urls)
        self.network = network
        self.cache_dir = cache_dir
        self.retry = retry or RetryPolicy()
        self._mirrors = Mirrors(self.urls, self.retry)
        self._buckets = Buckets(self._mirrors, None if cache_dir is None else BucketCache(Path(cache_dir)))

    def __reduce__(self) -> tuple[type[HistoryArchive], tuple[object, ...]]:
        """Pickles what was asked for, not the open connections."""
        return HistoryArchive, (self.urls, self.network, self.cache_dir, self.retry)

    # --- States -------------------------------------------------------------------------------------------------------
    def root_state(self) -> ArchiveState:
        """The state that the archive points to as its newest; the first mirror that answers is believed.

        Raises:
            ArchiveError: no mirror serves one that can be read.
            NetworkMismatchError: it is of another network.
        """
        path = self.network.root_path
        return self.document(path, MAX_STATE_BYTES, lambda data: self._state_of_network(data, path))

    def latest_checkpoint(self) -> int:
        """The newest checkpoint.

        Raises:
            ArchiveStateError: the archive was initialised but has no checkpoint yet, or its newest ledger is not a
                checkpoint at this network's frequency.
            ArchiveError: no mirror serves a state that can be read.
            NetworkMismatchError: it is of another network.
        """
        state = self.root_state()
        path, frequency = self.network.root_path, self.network.checkpoint_frequency
        if not state.has_checkpoint:
            raise ArchiveStateError(
                f"{path}: the archive is initialised but has no checkpoint yet; the first will be {frequency - 1}"
            )
        if not is_checkpoint(state.current_ledger, frequency):
            raise ArchiveStateError(
                f"{path}: the newest ledger {state.current_ledger} is not a checkpoint at a frequency of {frequency}; "
                "is the checkpoint frequency right?"
            )
        return state.current_ledger

    def state(self, checkpoint: int, check: Callable[[ArchiveState], None] | None = None) -> ArchiveState:
        """The state of one checkpoint.

        Args:
            checkpoint: ledger sequence.
            check: judges each mirror's state; raises `ArchiveError` or `TrustError` to have the next one asked.

        Raises:
            CheckpointError: the ledger is not a checkpoint.
            ArchiveFileMissingError: the archive does not have it; the message names its newest one.
            ArchiveStateError: the state is of another ledger, or cannot be read.
            NetworkMismatchError: it is of another network.
        """
        require_checkpoint(checkpoint, self.network.checkpoint_frequency)
        path = checkpoint_path("history", checkpoint)

        def read(data: bytes) -> ArchiveState:
            state = self._state_of_network(data, path)
            if state.current_ledger != checkpoint:
                raise ArchiveStateError(f"{path}: holds the state of ledger {state.current_ledger}, not {checkpoint}")
            if check is not None:
                check(state)
            return state

        try:
            return self.document(path, MAX_STATE_BYTES, read)
        except ArchiveFileMissingError as error:
            raise ArchiveFileMissingError(f"{error}; {self._newest()}", mirrors=error.mirrors) from error

    def _state_of_network(self, data: bytes, path: str) -> ArchiveState:
        state = parse_archive_state(data, path)
        passphrase = state.network_passphrase
        if passphrase is not None and passphrase != self.network.passphrase:
            raise NetworkMismatchError(
                f"{path}: the archive is of network {passphrase!r}, expected {self.network.passphrase!r}"
            )
        return state

    def _newest(self) -> str:
        try:
            return f"the newest checkpoint of this archive is {self.latest_checkpoint()}"
        except (ArchiveError, TrustError):
            return "nor does it name a newest checkpoint"

    # --- Headers ------------------------------------------------------------------------------------------------------
    def ledger_headers(self, checkpoint: int) -> pa.RecordBatch:
        """The headers of all ledgers of one checkpoint, proven by their own hashes and their chain.

        Returns:
            one row per ledger, ascending; the columns are the kernel's ``read_ledger_headers``.

        Raises:
            CheckpointError: the ledger is not a checkpoint.
            ArchiveError: no mirror has a readable file with exactly these ledgers.
            HashMismatchError: a hash or a link is wrong in every copy.
            UnsupportedProtocolError: a header is of a newer protocol.
        """
        return self._headers(checkpoint, None)[0]

    def headers(
        self, checkpoint: int, check: Callable[[tuple[LedgerHeader, ...]], None] | None = None
    ) -> tuple[LedgerHeader, ...]:
        """The same headers as values.

        Args:
            checkpoint: ledger sequence.
            check: judges each mirror's proven headers; raises `TrustError` to have the next one asked.

        Raises:
            AuroraError: as `ledger_headers`.
        """
        return self._headers(checkpoint, check)[1]

    def _headers(
        self, checkpoint: int, check: Callable[[tuple[LedgerHeader, ...]], None] | None
    ) -> tuple[pa.RecordBatch, tuple[LedgerHeader, ...]]:
        ledgers = checkpoint_ledgers(checkpoint, self.network.checkpoint_frequency)
        path = checkpoint_path("ledger", checkpoint)

        def read(data: bytes) -> tuple[pa.RecordBatch, tuple[LedgerHeader, ...]]:
            batch = read_headers(gunzip(data, _MAX_LEDGER_FILE), self.network, ledgers, path)
            headers = headers_of(batch)
            verify_headers(headers, ledgers, path)
            if check is not None:
                check(headers)
            return batch, headers

        return self.document(path, _MAX_LEDGER_FILE, read)

    def verify_checkpoint(self, checkpoint: int, trusted: tuple[int, str] | None = None) -> VerifiedCheckpoint:
        """Proves a checkpoint's bucket list by its ledger header, and that by a trusted ledger if one is given.

        The header's own hash and its chain over the checkpoint are always checked. Without a trusted ledger this proves
        that the archive agrees with itself. A trusted ledger in the checkpoint or after it proves the checkpoint; one
        before it proves only that the checkpoint descends from it, since anyone can append to a chain.

        Args:
            checkpoint: ledger sequence.
            trusted: (sequence, hex hash) of a ledger that is known to be right; the chain of headers between it and the
                checkpoint is walked, in whichever direction.

        Raises:
            CheckpointError: the ledger is not a checkpoint.
            ArchiveError: a file is missing or damaged in every mirror.
            HashMismatchError: the bucket list is not the header's, or the chain does not lead to the trusted ledger.
            NetworkMismatchError: the archive is of another network.
            UnsupportedProtocolError: the ledger is of a newer protocol.
            UsageError: the trusted hash is not a hash.
        """
        return trust.verify_checkpoint(self, checkpoint, trusted)

    # --- Buckets ------------------------------------------------------------------------------------------------------
    def open_bucket(self, name: str, *, verify: bool | None = None) -> BucketFile:
        """Opens a bucket for reading its compressed bytes.

        A cached bucket was proven when it came and is looked over for damage now. Any other has at least the look of
        gzip; its content is proven by whoever reads it to the end, or here if ``verify`` says so.

        Args:
            name: the bucket's hash, 64 hex digits.
            verify: prove the file before its first byte is given out, mirror by mirror, at the price of a second read;
                None does so when there is another mirror to turn to. A download into the cache is always proven.

        Raises:
            ArchiveError: no mirror has something like it, or the cache cannot be written to.
            HashMismatchError: every copy holds other content.
        """
        return self._buckets.open(name, verify=verify)

    def prefetch(self, names: Sequence[str], workers: int = 4) -> None:
        """Fills the cache with buckets, several at once; nothing to do without a cache or with a local first mirror.

        Raises:
            ArchiveError: no mirror has a bucket, or the cache cannot be written to.
            HashMismatchError: every copy of a bucket holds other content.
        """
        self._buckets.prefetch(names, workers)

    def bucket_sizes(self, names: Sequence[str]) -> tuple[int | None, ...]:
        """Compressed sizes in bytes, None where neither the cache nor the first mirror tells cheaply; never fails."""
        return self._buckets.sizes(names)

    # --- Small files --------------------------------------------------------------------------------------------------
    def document(self, path: str, limit: int, parse: Callable[[bytes], _T]) -> _T:
        """What ``parse`` makes of a file that is read whole.

        Args:
            path: relative to the archive.
            limit: bytes above which the file is refused.
            parse: reads and judges one mirror's copy; raises `ArchiveError` or `TrustError` to have the next one asked.

        Raises:
            ArchiveError: no mirror has a right copy; of the kind that fits.
            TrustError: likewise.
        """

        def read(storage: Storage) -> _T:
            opened = storage.open(path)
            source = opened.source if storage.local else WatchedSource(opened.source, self.retry)
            try:
                data = b"".join(_chunks(source, limit))
            finally:
                source.close()
            return parse(data)

        return self._mirrors.fetch(path, read)

    def lacks(self, path: str) -> bool:
        """Whether it is known without asking a network that no mirror has the file; never fails."""
        storages = self._mirrors.storages
        return all(storage.local and storage.size(path) is None for storage in storages)


def _chunks(source: ByteSource, limit: int) -> Iterator[bytes]:
    total = 0
    while chunk := source.read(CHUNK):
        total += len(chunk)
        if total > limit:
            raise BadFileError(f"larger than {limit} bytes")
        yield chunk
    if total == 0:
        raise BadFileError("empty file")
