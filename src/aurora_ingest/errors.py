"""Every exception that aurora-ingest raises on purpose.

::

    AuroraError
    ├── UsageError                    wrong options; exit code 2
    │   └── CheckpointError           a ledger that is not a checkpoint
    ├── ArchiveError                  a history archive cannot serve what was asked
    │   ├── ArchiveFileMissingError   every mirror answered "not there"
    │   ├── ArchiveFileCorruptError   no mirror had a readable, right file
    │   └── ArchiveStateError         a HAS that cannot be read or does not fit
    ├── BackendError                  a ledger backend cannot serve what was asked
    │   ├── MissingLedgersError       ledgers of the range are not there; names the holes
    │   ├── LedgerStreamError         bytes of ledgers are cut off or damaged
    │   │   └── DeadWriterError       who wrote the stream stopped in the middle of it
    │   └── LakeConflictError         a data lake of another network or layout
    ├── WriteConflictError            another writer published the same files first
    ├── UnsupportedProtocolError      a ledger of a newer protocol than this build knows
    ├── TrustError                    the hash chain from header to bucket is broken
    │   ├── NetworkMismatchError      archive or database of another network
    │   ├── HashMismatchError         a hash differs from what proves it
    │   └── VerificationError         a range of ledgers has a bad one
    ├── BucketError                   a bucket's bytes break the format or the merge rules
    ├── StateError                    rows contradict each other
    │   ├── ContradictoryChangesError two changes of one ledger cannot both have happened
    │   └── RowRejectedError          a value that the target column cannot hold
    ├── DatabaseError                 the target database is not in a usable state
    │   ├── MigrationError            schema missing, too old, too new, or Horizon's own
    │   ├── UnfinishedBuildError      another build has not been finished or abandoned
    │   ├── FencedError               another node took this build over
    │   ├── PublishError              the swap could not be made
    │   ├── StatementTimeoutError     a statement took longer than allowed
    │   └── BusyDatabaseError         no connection is free, or the database went away
    ├── SearchTimeoutError            a search for payment paths took longer than allowed
    └── RunnerError                   the engine did not finish the pipeline
        └── ClusterError              a local cluster could not be started, or is not there
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aurora_ingest.ledger.ledger_range import LedgerRange


class AuroraError(Exception):
    """Base of every error with a message for people; exit code 1."""

    exit_code = 1


class UsageError(AuroraError):
    """The options given cannot be carried out; nothing was started. Exit code 2."""

    exit_code = 2


class CheckpointError(UsageError):
    """A ledger was named that is not a checkpoint of this network."""


class ArchiveError(AuroraError):
    """A history archive cannot serve what was asked.

    Attributes:
        mirrors: why each mirror was given up, by its address; empty where no mirror was asked.
    """

    def __init__(self, message: str, *, mirrors: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.mirrors: dict[str, str] = dict(mirrors or {})


class ArchiveFileMissingError(ArchiveError):
    """Every mirror answered that the file is not there."""


class ArchiveFileCorruptError(ArchiveError):
    """No mirror had a readable and right copy of the file."""


class ArchiveStateError(ArchiveError):
    """A history archive state (HAS) cannot be read or does not fit the request."""


class BackendError(AuroraError):
    """A ledger backend cannot serve what was asked."""


class MissingLedgersError(BackendError):
    """Ledgers that were asked for are not in the source.

    Attributes:
        ranges: the holes, ascending.
    """

    def __init__(self, message: str, ranges: Sequence[LedgerRange]) -> None:
        super().__init__(message)
        self.ranges: tuple[LedgerRange, ...] = tuple(ranges)


class LedgerStreamError(BackendError):
    """The bytes of ledgers are cut off, damaged, or not the ledgers that stand in their name.

    Attributes:
        path: file, object, pipe or table that they came from.
        offset: byte in the uncompressed stream, if it is known.
    """

    def __init__(self, message: str, *, path: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.offset = offset


class DeadWriterError(LedgerStreamError):
    """The process that wrote the stream went away, or fell silent, in the middle of it."""


class LakeConflictError(BackendError):
    """A data lake was made for another network or with another layout."""


class WriteConflictError(AuroraError):
    """Another writer published the same files of a dataset first; nothing of this one's is visible."""


class UnsupportedProtocolError(AuroraError):
    """A ledger was closed under a newer protocol than this build can read."""


class TrustError(AuroraError):
    """The chain of hashes from the trusted header to the bytes is broken."""


class NetworkMismatchError(TrustError):
    """The archive or the database belongs to another network."""


class HashMismatchError(TrustError):
    """A computed hash differs from the one that has to prove it.

    Attributes:
        expected: the hash that was to be met, in lower-case hex, if known.
        computed: the hash of the bytes that came, in lower-case hex, if known.
        file: the file that the bytes came from, if known.
    """

    def __init__(
        self, message: str, *, expected: str | None = None, computed: str | None = None, file: str | None = None
    ) -> None:
        super().__init__(message)
        self.expected = expected
        self.computed = computed
        self.file = file


class VerificationError(TrustError):
    """A range of ledgers has one that is not what it should be.

    Attributes:
        ledger: sequence of the first bad ledger, if there is one.
        column: what is bad about it.
    """

    def __init__(self, message: str, *, ledger: int | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.ledger = ledger
        self.column = column


class BucketError(AuroraError):
    """The bytes of a bucket break the format, its order or the merge rules."""


class StateError(AuroraError):
    """Ledger entries or rows contradict each other."""


class ContradictoryChangesError(StateError):
    """Two changes of one ledger cannot both have happened, or are of two ledgers.

    Attributes:
        first: number of the earlier change in its ledger, from 0.
        second: number of the later one; the same if a change contradicts its own form.
    """

    def __init__(self, message: str, *, first: int, second: int) -> None:
        super().__init__(message)
        self.first = first
        self.second = second


class RowRejectedError(StateError):
    """A value cannot be held by the column that it belongs to."""


class DatabaseError(AuroraError):
    """The target database is not in a usable state."""


class MigrationError(DatabaseError):
    """The schema is missing, too old, too new, or was made by Horizon."""


class UnfinishedBuildError(DatabaseError):
    """Another state build has neither been finished nor abandoned."""


class FencedError(DatabaseError):
    """Another node raised the epoch of this build; this one must stop writing."""


class PublishError(DatabaseError):
    """The finished build could not be made the visible state."""


class StatementTimeoutError(DatabaseError):
    """A statement took longer than allowed and was ended."""


class BusyDatabaseError(DatabaseError):
    """No connection is free, or the database went away; it may answer again later."""


class SearchTimeoutError(AuroraError):
    """A search for payment paths took longer than allowed."""


class RunnerError(AuroraError):
    """The engine that ran the pipeline did not finish it, for a reason of its own."""


class ClusterError(RunnerError):
    """A local cluster could not be started, or is not there."""
