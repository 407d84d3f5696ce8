"""One history archive behind several mirrors: its states, proven checkpoints and buckets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from aurora_ingest.errors import (
    ArchiveFileMissingError,
    ArchiveStateError,
    HashMismatchError,
    NetworkMismatchError,
)
from aurora_ingest.history_archive.archive_state import MAX_STATE_BYTES, ArchiveState, parse_archive_state
from aurora_ingest.history_archive.bucket_cache import BucketCache, prove
from aurora_ingest.history_archive.gzip_check import gunzip
from aurora_ingest.history_archive.mirrors import Mirrors
from aurora_ingest.history_archive.paths import bucket_path, checkpoint_path
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import BadFileError, Storage
from aurora_ingest.history_archive.transfer import MirroredStream
from aurora_ingest.ledger.checkpoint import checkpoint_containing, checkpoint_ledgers, require_checkpoint
from aurora_ingest.ledger.header import LedgerHeader, headers_of, read_headers, require_link, verify_headers
from aurora_ingest.network import Network

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK = 1 << 20
_MAX_LEDGER_FILE = 64 << 20


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class VerifiedCheckpoint:
    """A checkpoint whose state list is proven by its ledger header.

    Attributes:
        checkpoint: ledger sequence.
        header: the proven header of that ledger.
        live_buckets: names of the live buckets, newest first, empty ones left out.
        hot_buckets: names of the hot-archive buckets, newest first.
    """

    checkpoint: int
    header: LedgerHeader
    live_buckets: tuple[str, ...]
    hot_buckets: tuple[str, ...]

    @property
    def ledger_hash(self) -> str:
        """Hash of the ledger, lower-case hex."""
        return self.header.ledger_hash

    @property
    def protocol_version(self) -> int:
        """Protocol in force after the ledger."""
        return self.header.protocol


class HistoryArchive:
    """A history archive; picklable, so that every worker can open its own connections.

    Args:
        urls: mirrors in order of preference.
        network: the network it must be of.
        cache_dir: folder for downloaded buckets; None streams them. Local mirrors are never copied.
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
        self._cache = BucketCache(cache_dir) if cache_dir is not None and not self._is_local else None

    def __reduce__(self) -> tuple[type[HistoryArchive], tuple[object, ...]]:
        """Pickles what was asked for, not the open connections."""
        return HistoryArchive, (self.urls, self.network, self.cache_dir, self.retry)

    @property
    def _is_local(self) -> bool:
        return all(storage.local for storage in self._mirrors.storages)

    # --- States -------------------------------------------------------------------------------------------------------
    def root_state(self) -> ArchiveState:
        """The state that the archive points to as its newest.

        Raises:
            ArchiveError: no mirror serves one that can be read.
            NetworkMismatchError: it is of another network.
        """
        return self._state(self.network.root_path)

    def latest_checkpoint(self) -> int:
        """The newest checkpoint.

        Raises:
            ArchiveStateError: the archive was initialised but has no checkpoint yet.
            ArchiveError: no mirror serves a state that can be read.
        """
        state = self.root_state()
        if not state.has_checkpoint:
            raise ArchiveStateError(f"{self.network.root_path}: the archive is initialised but has no checkpoint yet")
        return state.current_ledger

    def state(self, checkpoint: int) -> ArchiveState:
        """The state of one checkpoint.

        Raises:
            CheckpointError: the ledger is not a checkpoint.
            ArchiveFileMissingError: the archive does not have it; the message names its newest one.
            ArchiveStateError: the state is of another ledger, or cannot be read.
            NetworkMismatchError: it is of another network.
        """
        require_checkpoint(checkpoint, self.network.checkpoint_frequency)
        try:
            return self._state(checkpoint_path("history", checkpoint), checkpoint)
        except ArchiveFileMissingError as error:
            raise ArchiveFileMissingError(f"{error}; {self._newest()}", mirrors=error.mirrors) from error

    def _newest(self) -> str:
        try:
            return f"the newest checkpoint of this archive is {self.latest_checkpoint()}"
        except (ArchiveFileMissingError, ArchiveStateError, NetworkMismatchError):
            return "nor does it name a newest checkpoint"

    def _state(self, path: str, checkpoint: int | None = None) -> ArchiveState:
        def read(storage: Storage) -> ArchiveState:
            state = parse_archive_state(_whole(storage, path, MAX_STATE_BYTES), path)
            passphrase = state.network_passphrase
            if passphrase is not None and passphrase != self.network.passphrase:
                raise NetworkMismatchError(
                    f"{path}: the archive is of network {passphrase!r}, expected {self.network.passphrase!r}"
                )
            if checkpoint is not None and state.current_ledger != checkpoint:
                raise ArchiveStateError(f"{path}: holds the state of ledger {state.current_ledger}, not {checkpoint}")
            return state

        return self._mirrors.fetch(path, read)

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
        ledgers = checkpoint_ledgers(checkpoint, self.network.checkpoint_frequency)
        path = checkpoint_path("ledger", checkpoint)

        def read(storage: Storage) -> pa.RecordBatch:
            data = gunzip(_whole(storage, path, _MAX_LEDGER_FILE), _MAX_LEDGER_FILE)
            batch = read_headers(data, self.network, ledgers, path)
            verify_headers(headers_of(batch), ledgers, path)
            return batch

        return self._mirrors.fetch(path, read)

    def verify_checkpoint(self, checkpoint: int, trusted: tuple[int, str] | None = None) -> VerifiedCheckpoint:
        """Proves a checkpoint's bucket list by its ledger header, and that by a trusted ledger if one is given.

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
        """
        state = self.state(checkpoint)
        headers = headers_of(self.ledger_headers(checkpoint))
        header = headers[-1]
        computed = state.bucket_list_hash(header.protocol)
        if computed != header.bucket_list_hash:
            file = checkpoint_path("history", checkpoint)
            raise HashMismatchError(
                f"{file}: its buckets hash to {computed}, but the header of ledger {checkpoint} states "
                f"{header.bucket_list_hash}",
                expected=header.bucket_list_hash,
                computed=computed,
                file=file,
            )
        if trusted is not None:
            self._require_trusted(trusted, checkpoint, headers)
        return VerifiedCheckpoint(checkpoint, header, state.live_buckets(), state.hot_buckets())

    def _require_trusted(self, trusted: tuple[int, str], checkpoint: int, headers: tuple[LedgerHeader, ...]) -> None:
        ledger, trusted_hash = trusted
        frequency = self.network.checkpoint_frequency
        goal = checkpoint_containing(ledger, frequency)
        step = frequency if goal > checkpoint else -frequency
        for next_checkpoint in range(checkpoint + step, goal + step, step) if goal != checkpoint else ():
            following = headers_of(self.ledger_headers(next_checkpoint))
            older, newer = (headers, following) if step > 0 else (following, headers)
            require_link(older[-1], newer[0], checkpoint_path("ledger", max(next_checkpoint, next_checkpoint - step)))
            headers = following
        header = next(header for header in headers if header.sequence == ledger)
        if header.ledger_hash != trusted_hash.lower():
            file = checkpoint_path("ledger", goal)
            raise HashMismatchError(
                f"{file}: ledger {ledger} has hash {header.ledger_hash}, the trusted hash is {trusted_hash.lower()}",
                expected=trusted_hash.lower(),
                computed=header.ledger_hash,
                file=file,
            )

    # --- Buckets ------------------------------------------------------------------------------------------------------
    def open_bucket(self, name: str, *, verify: bool | None = None) -> BucketFile:
        """Opens a bucket for reading its compressed bytes.

        A cached bucket was proven when it came; others are proven by whoever reads them to the end.

        Args:
            name: the bucket's hash, 64 hex digits.
            verify: prove the file before its first byte is given out, mirror by mirror, at the price of a second read;
                None does so when there is another mirror to turn to.

        Raises:
            ArchiveError: no mirror has something like it.
            HashMismatchError: every copy is damaged (cached or verified buckets).
        """
        path = bucket_path(name)
        if self._cache is not None:
            self.prefetch([name])
            cached = self._cache.path(name)
            return BucketFile(self, name, str(cached), cached.open("rb"))
        request = self._mirrors.request(path)  # one for both, so that a mirror whose copy is bad is not asked again
        if len(self.urls) > 1 if verify is None else verify:
            request.run(lambda storage: prove(name, lambda: storage.open(path).source))
        stream = MirroredStream(request)
        return BucketFile(self, name, stream.storage.url, stream)

    def prefetch(self, names: Sequence[str], workers: int = 4) -> None:
        """Fills the cache with buckets, several at once; does nothing without a cache.

        Raises:
            ArchiveError: no mirror has a bucket.
            HashMismatchError: every copy of a bucket is damaged.
        """
        cache = self._cache
        if cache is None:
            return
        missing = [name for name in dict.fromkeys(names) if not cache.path(name).exists()]
        with ThreadPoolExecutor(max(min(workers, len(missing)), 1)) as pool:
            for _ in pool.map(lambda name: self._download(cache, name), missing):
                pass

    def _download(self, cache: BucketCache, name: str) -> None:
        path = bucket_path(name)

        def copy(storage: Storage) -> None:
            source = storage.open(path).source
            try:
                cache.store(name, source)
            finally:
                source.close()

        self._mirrors.fetch(path, copy)

    def bucket_sizes(self, names: Sequence[str]) -> tuple[int | None, ...]:
        """Compressed sizes in bytes, None where the first mirror does not tell cheaply."""
        first = self._mirrors.storages[0]
        return tuple(first.size(bucket_path(name)) for name in names)

    def reject_bucket(self, name: str, url: str, reason: Exception) -> None:
        """Remembers that a copy of a bucket is bad: it leaves the cache, and its mirror is not asked for it again."""
        if self._cache is not None:
            self._cache.drop(name)
        self._mirrors.reject(bucket_path(name), url, reason)


class BucketFile:
    """The compressed bytes of one bucket, and where they come from.

    Attributes:
        name: the bucket's hash.
        url: the mirror, or the cached file.
    """

    def __init__(self, archive: HistoryArchive, name: str, url: str, stream: _Readable) -> None:
        self.name = name
        self.url = url
        self._archive = archive
        self._stream = stream

    def read(self, size: int = _CHUNK, /) -> bytes:
        """At most ``size`` bytes; ``b""`` at the end."""
        return self._stream.read(size)

    def reject(self, reason: Exception) -> None:
        """Says that the content is not the bucket of that name."""
        self._archive.reject_bucket(self.name, self.url, reason)

    def close(self) -> None:
        """Gives the connection or file back; may be called twice."""
        self._stream.close()

    def __enter__(self) -> BucketFile:  # noqa: PYI034 - typing has Self only from Python 3.11 on
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _whole(storage: Storage, path: str, limit: int) -> bytes:
    """The whole of a small file.

    Raises:
        BadFileError: it is empty or larger than ``limit`` bytes.
        StorageError: the storage's own.
    """
    source = storage.open(path).source
    try:
        data = b"".join(_chunks(source, limit))
    finally:
        source.close()
    if not data:
        raise BadFileError("empty file")
    return data


def _chunks(source: _Readable, limit: int) -> Iterator[bytes]:
    total = 0
    while chunk := source.read(_CHUNK):
        total += len(chunk)
        if total > limit:
            raise BadFileError(f"larger than {limit} bytes")
        yield chunk
