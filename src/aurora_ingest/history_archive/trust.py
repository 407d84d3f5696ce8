"""The chain of hashes from a ledger that is known to be right, over headers, to the bucket list of a checkpoint."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from aurora_ingest.errors import ArchiveFileMissingError, HashMismatchError, UsageError
from aurora_ingest.history_archive.archive_state import ArchiveState
from aurora_ingest.history_archive.paths import checkpoint_path, is_hash
from aurora_ingest.ledger.checkpoint import checkpoint_containing
from aurora_ingest.ledger.header import LedgerHeader, require_link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aurora_ingest.history_archive.archive import HistoryArchive

    _Headers = tuple[LedgerHeader, ...]

_log = logging.getLogger(__name__)
_WALK_WORKERS: Final = 8
_WALK_WINDOW: Final = 64
"""Files of a walk that are fetched side by side before they are linked."""


@dataclass(frozen=True)
class VerifiedCheckpoint:
    """A checkpoint whose bucket list is proven by its ledger header.

    Attributes:
        checkpoint: ledger sequence.
        header: the proven header of that ledger.
        state: the proven state.
    """

    checkpoint: int
    header: LedgerHeader
    state: ArchiveState

    @property
    def ledger_hash(self) -> str:
        """Hash of the ledger, lower-case hex."""
        return self.header.ledger_hash

    @property
    def protocol_version(self) -> int:
        """Protocol in force after the ledger."""
        return self.header.protocol

    @property
    def live_buckets(self) -> tuple[str, ...]:
        """Names of the live buckets, newest first, empty ones left out."""
        return self.state.live_buckets()

    @property
    def hot_buckets(self) -> tuple[str, ...]:
        """Names of the hot-archive buckets, newest first, empty ones left out; none before protocol 23."""
        return self.state.hot_buckets()


def verify_checkpoint(archive: HistoryArchive, checkpoint: int, trusted: tuple[int, str] | None) -> VerifiedCheckpoint:
    """Proves a checkpoint; see `HistoryArchive.verify_checkpoint`."""
    state = archive.state(checkpoint)
    headers = archive.headers(checkpoint) if trusted is None else _trusted_headers(archive, checkpoint, *trusted)
    header = headers[-1]
    if state.bucket_list_hash(header.protocol) != header.bucket_list_hash:
        # The mirror that gave the state may be the bad one: ask all of them, now that there is a hash to judge by.
        state = archive.state(checkpoint, lambda found: _require_list(found, header))
    return VerifiedCheckpoint(checkpoint, header, state)


def _require_list(state: ArchiveState, header: LedgerHeader) -> None:
    computed = state.bucket_list_hash(header.protocol)
    if computed != header.bucket_list_hash:
        file = checkpoint_path("history", header.sequence)
        raise HashMismatchError(
            f"{file}: its buckets hash to {computed}, but the header of ledger {header.sequence} states "
            f"{header.bucket_list_hash}",
            expected=header.bucket_list_hash,
            computed=computed,
            file=file,
        )


def _trusted_headers(archive: HistoryArchive, checkpoint: int, ledger: int, ledger_hash: str) -> _Headers:
    """The headers of a checkpoint, chained to the trusted ledger.

    The walk starts at the trusted ledger, so that every file is judged by a hash that is proven already and a mirror
    with another chain can be passed over.
    """
    ledger_hash = ledger_hash.lower()
    if not is_hash(ledger_hash):
        raise UsageError(f"trusted ledger {ledger}: {ledger_hash!r} is not a hash of 64 hex digits")
    frequency = archive.network.checkpoint_frequency
    start = checkpoint_containing(ledger, frequency)
    step = frequency if start < checkpoint else -frequency
    rest = range(start + step, checkpoint + step, step) if start != checkpoint else range(0)
    try:
        headers = archive.headers(start, lambda found: _require_ledger(found, ledger, ledger_hash))
        if rest:
            _log.info("walking the headers of %d checkpoints from trusted ledger %d", len(rest), ledger)
        before: _Headers | None = None
        for following in _fetched(archive, rest):
            try:
                headers, before = _linked(archive, headers, following), headers
            except HashMismatchError:
                if step < 0 or before is None:
                    raise
                # Going up, a forged file links to what stands below it; what follows does not link to the forgery.
                mended = _between(archive, before, headers, following)
                headers, before = following, mended
    except ArchiveFileMissingError as error:
        raise ArchiveFileMissingError(
            f"{error}; it is needed to reach checkpoint {checkpoint} from trusted ledger {ledger}",
            mirrors=error.mirrors,
        ) from error
    if rest:
        _log.info("checkpoint %d is chained to trusted ledger %d", checkpoint, ledger)
    return headers


def _require_ledger(headers: _Headers, ledger: int, ledger_hash: str) -> None:
    header = headers[ledger - headers[0].sequence]
    if header.ledger_hash != ledger_hash:
        file = checkpoint_path("ledger", headers[-1].sequence)
        raise HashMismatchError(
            f"{file}: ledger {ledger} has hash {header.ledger_hash}, the trusted hash is {ledger_hash}",
            expected=ledger_hash,
            computed=header.ledger_hash,
            file=file,
        )


def _fetched(archive: HistoryArchive, checkpoints: range) -> Iterator[_Headers]:
    """The headers of each checkpoint in turn, with several files under way."""
    waiting = iter(checkpoints)
    with ThreadPoolExecutor(_WALK_WORKERS, "headers") as pool:
        while window := list(islice(waiting, _WALK_WINDOW)):
            yield from pool.map(archive.headers, window)


def _linked(archive: HistoryArchive, proven: _Headers, following: _Headers) -> _Headers:
    """The headers that follow the proven ones in the walk; if these do not, those of a mirror where they do."""

    def check(found: _Headers) -> None:
        older, newer = (proven, found) if found[0].sequence > proven[0].sequence else (found, proven)
        require_link(older[-1], newer[0], checkpoint_path("ledger", found[-1].sequence))

    try:
        check(following)
    except HashMismatchError:
        return archive.headers(following[-1].sequence, check)
    return following


def _between(archive: HistoryArchive, before: _Headers, doubted: _Headers, following: _Headers) -> _Headers:
    """The headers of a mirror that link to those below and those above; `doubted` link to those below only."""
    file, next_file = (checkpoint_path("ledger", headers[-1].sequence) for headers in (doubted, following))

    def check(found: _Headers) -> None:
        require_link(before[-1], found[0], file)
        require_link(found[-1], following[0], next_file)

    return archive.headers(doubted[-1].sequence, check)
