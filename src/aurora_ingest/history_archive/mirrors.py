"""Several copies of one archive: which mirror is asked next, when, and what is said when none is left."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from aurora_ingest.errors import (
    ArchiveError,
    ArchiveFileCorruptError,
    ArchiveFileMissingError,
    ArchiveStateError,
    AuroraError,
    HashMismatchError,
    NetworkMismatchError,
    TrustError,
    UnsupportedProtocolError,
    UsageError,
)
from aurora_ingest.history_archive.storage import (
    BadFileError,
    BusyError,
    RefusedError,
    Storage,
    StorageError,
    UnreachableError,
    WrongHashError,
    open_storage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aurora_ingest.history_archive.retry import RetryPolicy

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

# What speaks against this mirror's copy and not against the request: the next mirror may have it right. A protocol
# that is too new may be the work of a damaged byte, too.
_MIRROR_FAULTS = (StorageError, ArchiveError, TrustError, UnsupportedProtocolError)
_PASSING_FAULTS = (BusyError, UnreachableError)

_ENDINGS: tuple[tuple[type[Exception], type[AuroraError]], ...] = (
    (UnsupportedProtocolError, UnsupportedProtocolError),
    (NetworkMismatchError, NetworkMismatchError),
    (HashMismatchError, HashMismatchError),
    (WrongHashError, HashMismatchError),
    (TrustError, TrustError),
    (ArchiveStateError, ArchiveStateError),
    (ArchiveFileCorruptError, ArchiveFileCorruptError),
    (BadFileError, ArchiveFileCorruptError),
    (BusyError, ArchiveError),
    (UnreachableError, ArchiveError),
    (RefusedError, ArchiveError),
)
"""Which error is raised when no mirror is left, by the gravest fault; all that remains means: not there."""


class Mirrors:
    """The mirrors of one archive in the user's order of preference, with what is known about each."""

    def __init__(self, urls: Sequence[str], policy: RetryPolicy) -> None:
        """Takes the addresses; nothing is contacted yet.

        Raises:
            UsageError: no address, or one that no storage reads.
        """
        if not urls:
            raise UsageError("no history archive given; give --history-archive-url")
        self.policy = policy
        self.storages: tuple[Storage, ...] = tuple(open_storage(url, policy) for url in dict.fromkeys(urls))
        self._busy_until: dict[str, float] = {}
        self._rejected: dict[tuple[str, str], Exception] = {}

    def fetch(self, path: str, use: Callable[[Storage], _T]) -> _T:
        """What ``use`` makes of the file at the first mirror where it succeeds; see `FileRequest.run`."""
        return self.request(path).run(use)

    def request(self, path: str) -> FileRequest:
        """A new retry budget for one file."""
        return FileRequest(self, path)

    def reject(self, path: str, url: str, fault: Exception) -> None:
        """Remembers that a mirror's copy of a file is bad, so that later requests do not ask for it there."""
        self._rejected[path, url] = fault

    def fault_of(self, path: str, url: str) -> Exception | None:
        """Why a mirror's copy of the file was rejected, if it was."""
        return self._rejected.get((path, url))

    def busy_until(self, url: str) -> float:
        """The time on the policy's clock before which the mirror does not want to be asked."""
        return self._busy_until.get(url, 0.0)

    def set_busy(self, url: str, until: float) -> None:
        """Notes a mirror's wish not to be asked before a time; it holds for all files."""
        self._busy_until[url] = max(until, self.busy_until(url))


class FileRequest:
    """One file asked of the mirrors under one retry budget.

    A fault that will not pass (not there, refused, other content) ends a mirror's part at once; one that may pass
    (busy, no answer, cut short) sends the request to the next mirror at once and back after a backoff.
    """

    def __init__(self, mirrors: Mirrors, path: str) -> None:
        self.path = path
        self.policy = mirrors.policy
        self._mirrors = mirrors
        self._faults: dict[str, Exception] = {}
        self._tries: dict[str, int] = {}
        self._ready: dict[str, float] = {}
        self._left: list[Storage] = []
        self._waited = 0.0
        for storage in mirrors.storages:
            fault = mirrors.fault_of(path, storage.url)
            if fault is None:
                self._left.append(storage)
                self._ready[storage.url] = mirrors.busy_until(storage.url)
            else:
                self._faults[storage.url] = fault

    def run(self, use: Callable[[Storage], _T]) -> _T:
        """Tries mirror after mirror until ``use`` succeeds with one.

        Args:
            use: reads and judges the file at one mirror; raises `StorageError`, `ArchiveError` or `TrustError` to speak
                against that mirror's copy. Any other exception ends the request.

        Raises:
            ArchiveFileMissingError: no mirror has the file.
            ArchiveFileCorruptError: what the mirrors have is damaged.
            ArchiveStateError: a state file that cannot be read or does not fit.
            HashMismatchError: a hash differs from the one that must prove it.
            NetworkMismatchError: a mirror is of another network.
            UnsupportedProtocolError: a ledger of a newer protocol.
            ArchiveError: mirrors that may have the file did not answer within the budget.
        """
        while True:
            storage = self._next()
            try:
                return use(storage)
            except _MIRROR_FAULTS as fault:
                self.fail(storage, fault)

    def fail(self, storage: Storage, fault: Exception) -> None:
        """Notes that a mirror failed with this file; `run` goes on without it, or with it after its backoff."""
        self._faults[storage.url] = fault
        if not isinstance(fault, _PASSING_FAULTS):
            self._drop(storage)
        else:
            tries = self._tries[storage.url] = self._tries.get(storage.url, 0) + 1
            if tries >= self.policy.rounds:
                self._drop(storage)
            now = self.policy.clock()
            wait = self.policy.backoff(tries)
            if isinstance(fault, BusyError):
                wait = max(wait, fault.retry_after or 0.0)
                self._mirrors.set_busy(storage.url, now + wait)
            self._ready[storage.url] = now + wait
        if self._left:
            _log.warning("%s of %s: %s; trying %s", self.path, storage.url, _reason(fault, self.path), self._plan())

    def forgive(self) -> None:
        """Starts the count of tries anew: the file came a good way on since the last fault."""
        self._tries.clear()

    def _drop(self, storage: Storage) -> None:
        self._left = [other for other in self._left if other is not storage]

    def _choice(self) -> tuple[Storage, float]:
        """The mirror to ask next and the seconds until then: the first that is ready, else the one ready soonest."""
        now = self.policy.clock()
        waits = [(max(self._ready[storage.url] - now, 0.0), place) for place, storage in enumerate(self._left)]
        wait, place = min(waits)
        return self._left[place], wait

    def _plan(self) -> str:
        storage, wait = self._choice()
        return f"{storage.url} in {wait:.1f} s" if wait else storage.url

    def _next(self) -> Storage:
        if not self._left:
            raise self._given_up("")
        storage, wait = self._choice()
        if wait > 0.0:
            left = self.policy.total_wait - self._waited
            if wait > left:
                raise self._given_up(f"; the next try would be in {wait:.0f} s, but only {left:.0f} s are left")
            self.policy.sleep(wait)
            self._waited += wait
        return storage

    def _given_up(self, why: str) -> AuroraError:
        reasons = {url: _reason(fault, self.path) for url, fault in self._faults.items()}
        for storage in self._left:
            reasons.setdefault(storage.url, "busy")
        told = "; ".join(f"{url}: {reason}" for url, reason in reasons.items())
        for kind, ending in _ENDINGS:
            fault = next((fault for fault in self._faults.values() if isinstance(fault, kind)), None)
            if fault is not None or (kind is BusyError and self._left):
                return _ending(ending, f"{self.path}: {_summary(ending, len(reasons))}: {told}{why}", reasons, fault)
        message = f"{self.path}: not in the archive: {told}"
        return _chained(ArchiveFileMissingError(message, mirrors=reasons), next(iter(self._faults.values()), None))


def _ending(kind: type[AuroraError], message: str, reasons: dict[str, str], fault: Exception | None) -> AuroraError:
    error: AuroraError
    if isinstance(fault, UnsupportedProtocolError):
        return fault  # says all there is to say; no mirror is to blame
    if issubclass(kind, ArchiveError):
        error = kind(message, mirrors=reasons)
    elif isinstance(fault, (HashMismatchError, WrongHashError)):
        error = HashMismatchError(message, expected=fault.expected, computed=fault.computed, file=fault.file)
    else:
        error = kind(message)
    return _chained(error, fault)


def _chained(error: AuroraError, cause: Exception | None) -> AuroraError:
    error.__cause__ = cause
    return error


def _summary(kind: type[AuroraError], mirrors: int) -> str:
    if kind is ArchiveError:
        return "could not be fetched" if mirrors == 1 else f"could not be fetched from any of {mirrors} mirrors"
    return "no right copy" if mirrors == 1 else f"no right copy at any of {mirrors} mirrors"


def _reason(fault: Exception, path: str) -> str:
    """What a mirror did wrong, without the file name that stands before it anyway."""
    return str(fault).removeprefix(f"{path}: ")
