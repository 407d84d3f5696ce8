"""What one verification is: the ledgers, where they and the states come from, and what each step leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.ledger.checkpoint import checkpoint_containing, is_checkpoint, previous_checkpoint
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger.verification import Rules
from aurora_ingest.ledger_backend.backend import LedgerBackend
from aurora_ingest.network import DEFAULT_CHECKPOINT_FREQUENCY, Network
from aurora_ingest.transforms.work_dir import WorkDir

GENESIS_LEDGER = 1


@dataclass(frozen=True)
class StatePair:
    """Two consecutive states, of which the later is rebuilt from the earlier and the changes between.

    Attributes:
        earlier: checkpoint, or 1 for the genesis ledger.
        later: checkpoint.
    """

    earlier: int
    later: int


@dataclass(frozen=True)
class VerifyPlan:
    """One verification, ready to be made into a graph; picklable, so that every worker has it.

    Attributes:
        network: whose rules hold.
        ledgers: what is verified.
        backend: where the ledgers come from.
        archive: where the states of checkpoints come from, or None.
        newest_checkpoint: the newest state that the archive claims to have, or None without archive.
        trusted: sequence and hex hash of a ledger of the range that is known to be right, or None.
        read_buckets: whether the entries of checkpoints are read, for supply and state.
        work_dir: folder shared by the workers.
        parquet_dir: folder of the Parquet dataset, or None.
        partitions: partitions of key hashes in which states are compared, 1 to 256.
        slice_bytes: bytes of ledgers decoded at once.
    """

    network: Network
    ledgers: LedgerRange
    backend: LedgerBackend
    archive: HistoryArchive | None
    newest_checkpoint: int | None
    trusted: tuple[int, str] | None
    read_buckets: bool
    work_dir: str
    parquet_dir: str | None = None
    partitions: int = 64
    slice_bytes: int = 16 << 20

    @property
    def rules(self) -> Rules:
        """The network's rules of judgement."""
        return Rules(self.network.passphrase, self.network.checkpoint_frequency, self.trusted)

    @property
    def work(self) -> WorkDir:
        """The work directory."""
        return WorkDir(self.work_dir)

    @property
    def can_seek(self) -> bool:
        """Whether a ledger can be read without reading all before it."""
        return self.backend.repeatable and self.backend.name not in SEQUENTIAL_BACKENDS

    @property
    def chunks(self) -> tuple[LedgerRange, ...]:
        """Pieces that are read side by side: whole checkpoints, at least 64 ledgers; one of a source without places."""
        if not self.can_seek:
            return (self.ledgers,)
        frequency = self.network.checkpoint_frequency
        return tuple(self.ledgers.chunks(frequency * max(DEFAULT_CHECKPOINT_FREQUENCY // frequency, 1)))

    @cached_property
    def checkpoints(self) -> tuple[int, ...]:
        """The checkpoints of the range whose state the archive should have."""
        if self.newest_checkpoint is None:
            return ()
        frequency = self.network.checkpoint_frequency
        first = checkpoint_containing(self.ledgers.first, frequency)
        last = min(self.ledgers.last, self.newest_checkpoint)
        return tuple(range(first, last + 1, frequency))

    @cached_property
    def pairs(self) -> tuple[StatePair, ...]:
        """The pairs of states with all ledgers between them in the range."""
        if not self.read_buckets:
            return ()
        found = []
        for later in self.checkpoints:
            earlier = previous_checkpoint(later, self.network.checkpoint_frequency) or GENESIS_LEDGER
            if earlier + 1 >= self.ledgers.first:
                found.append(StatePair(earlier, later))
        return tuple(found)

    @property
    def states(self) -> tuple[int, ...]:
        """Checkpoints whose archive state is read: those of the range, and the one before the first pair."""
        before = {pair.earlier for pair in self.pairs if self.is_checkpoint(pair.earlier)}
        return tuple(sorted(before | set(self.checkpoints)))

    @cached_property
    def compared(self) -> frozenset[int]:
        """The checkpoints that are one side of a pair."""
        return frozenset(end for pair in self.pairs for end in (pair.earlier, pair.later))

    def is_checkpoint(self, ledger: int) -> bool:
        """Whether the archive has a state of that ledger."""
        return is_checkpoint(ledger, self.network.checkpoint_frequency)

    def pair_of(self, ledger: int) -> StatePair | None:
        """The pair of states between which a ledger lies, if its later state is to be rebuilt."""
        return self._by_later.get(checkpoint_containing(ledger, self.network.checkpoint_frequency))

    @cached_property
    def _by_later(self) -> dict[int, StatePair]:
        return {pair.later: pair for pair in self.pairs}


SEQUENTIAL_BACKENDS = frozenset({"meta-stream"})
"""Sources in which a ledger is found only by reading all before it."""


@dataclass(frozen=True)
class ChunkReceipt:
    """What reading one chunk left behind.

    Attributes:
        ledgers: the chunk.
        path: file of its verdicts in the work directory.
        first_row: the facts of the chunk's first ledger as Arrow IPC, or None if it was not there.
        last_row: the same of its last ledger, or None.
        checkpoint_rows: the same of every checkpoint's ledger.
        changes: files of last changes, by later checkpoint.
        with_changes: ledgers whose changes are known, by later checkpoint.
        contradictions: by ledger, in what its changes contradict each other.
    """

    ledgers: LedgerRange
    path: str
    first_row: bytes | None
    last_row: bytes | None
    checkpoint_rows: tuple[bytes, ...]
    changes: dict[int, tuple[str, ...]]
    with_changes: dict[int, int]
    contradictions: dict[int, str]


@dataclass(frozen=True)
class StateReceipt:
    """What reading one checkpoint's state left behind.

    Attributes:
        checkpoint: ledger sequence.
        live_hash: hash of the bucket list for headers before protocol 23, hex; empty if the state could not be read.
        full_hash: the same for headers from protocol 23 on; empty without a hot archive.
        fault: why the state could not be read, or empty.
        bucket_fault: why its buckets could not be read, or empty.
        native: native stroops of all its entries, live and in the hot archive; None if buckets were not read.
        entries: number of live entries; None likewise.
        paths: files of its entries' fingerprints.
    """

    checkpoint: int
    live_hash: str = ""
    full_hash: str = ""
    fault: str = ""
    bucket_fault: str = ""
    native: int | None = None
    entries: int | None = None
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairReceipt:
    """How a rebuilt state compares to the archive's.

    Attributes:
        checkpoint: the later one.
        verdict: as in the column ``state``.
        note: what differs, or why nothing could be compared; or empty.
        breaks: ledgers of which a change does not start from what was there, and which one.
    """

    checkpoint: int
    verdict: str
    note: str = ""
    breaks: tuple[tuple[int, str], ...] = ()
