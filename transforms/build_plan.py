"""What one state build is: the verified checkpoint, the tables, the cutting rule and where the rows go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aurora_ingest.db.builds import Build
from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.errors import UsageError
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.network import Network
from aurora_ingest.object_store.store import joined
from aurora_ingest.transforms.ledger_unit import PARTITION, TOTALS, Receipt
from aurora_ingest.transforms.processors import by_table
from aurora_ingest.transforms.work_dir import WorkDir

DEFAULT_MEMORY: Final = 1 << 30
"""Ceiling of a process, in bytes, that the default cutting rule keeps."""
_MIB: Final = 1 << 20
_PROCESS_BYTES: Final = 448 * _MIB
_SEGMENT_BYTES: Final = 12 * _MIB
_OPEN_BUCKETS: Final = 21
"""Buckets of a full bucket list, two at each of 11 levels, beside the one whose segments are counted."""
_MOST_SEGMENTS: Final = 1024
"""More would make transactions and Parquet parts of gigabytes."""


@dataclass(frozen=True)
class SplitRule:
    """How buckets are cut into key ranges; a pure function of the buckets, so every way of reading cuts alike.

    Attributes:
        segment_records: records after which a bucket starts a new segment.
        segment_bytes: record bytes after which a bucket starts a new segment.
        segments_per_range: distinct segment starts, over all buckets in key order, that make one key range.
        partitions: partitions of the second stage, by the first byte of a key hash (1 to 256).
    """

    segment_records: int = 4096
    segment_bytes: int = 1 << 20
    segments_per_range: int = 16
    partitions: int = 16

    @classmethod
    def for_memory(cls, ceiling: int) -> SplitRule:
        """Choose the largest key ranges with which one process stays below a ceiling of memory.

        A key range is what a process holds at once. It has `segments_per_range` segments, each of at most 1 MiB of
        records, and of every open bucket perhaps one more that began before the range. Measured on Parquet
        (docs/concepts.md), a process needs at most 420 MB and 9 MB per segment of the range; both are taken with a
        reserve, and the segments of the other buckets come on top. Powers of two only, so that near
        ceilings give the same build.

        Args:
            ceiling: bytes of resident memory.

        Raises:
            UsageError: the smallest key ranges need more.
        """
        segments = (ceiling - _PROCESS_BYTES) // _SEGMENT_BYTES - _OPEN_BUCKETS
        if segments < 1:
            least = _PROCESS_BYTES + _SEGMENT_BYTES * (1 + _OPEN_BUCKETS)
            message = (
                f"memory of {ceiling / _MIB:.0f} MiB is too small: the process takes {_PROCESS_BYTES // _MIB} MiB and "
                f"the smallest key range up to {(least - _PROCESS_BYTES) // _MIB} MiB; "
                f"give at least {least // _MIB} MiB"
            )
            raise UsageError(message)
        return cls(segments_per_range=1 << min(segments.bit_length() - 1, _MOST_SEGMENTS.bit_length() - 1))


@dataclass(frozen=True)
class StateBuildPlan:
    """One state build, ready to be made into a graph; picklable, so that every worker has it.

    Attributes:
        network: the network of the archive.
        archive: where the buckets come from.
        checkpoint: the ledger of the state.
        ledger_hash: hex hash of that ledger's header.
        protocol_version: protocol of that ledger.
        buckets: hex names of the live buckets, newest first, without the empty ones.
        tables: tables to build, in chain order.
        split: the cutting rule.
        work_dir: folder shared by the workers; holds cut buckets and spilled rows.
        db_url: SQLAlchemy URL of the target database, or None.
        parquet_dir: folder of the Parquet datasets, or None.
        spread: True to spread key ranges over workers, False for one streaming merge.
        strict_bucket_algebra: True to make a broken INIT rule fatal.
        takeover_after: seconds without heartbeat after which another builder may be replaced.
        resume: take up an unfinished build.
        abandon: drop an unfinished build first.
        database_build: the opened build in the database, or None.
        finished: receipts of units that a former run has finished, by (kind, index).
    """

    network: Network
    archive: HistoryArchive
    checkpoint: int
    ledger_hash: str
    protocol_version: int
    buckets: tuple[str, ...]
    tables: tuple[str, ...]
    split: SplitRule
    work_dir: str
    db_url: str | None
    parquet_dir: str | None
    spread: bool = False
    strict_bucket_algebra: bool = False
    takeover_after: float = 30.0
    resume: bool = False
    abandon: bool = False
    database_build: Build | None = None
    finished: Mapping[tuple[str, int], Receipt] = field(default_factory=dict)

    @property
    def build_id(self) -> str:
        """Hex name of the build: equal inputs, tables and rules give the equal name, so work can be taken up again."""
        parts = {
            "network": self.network.passphrase,
            "checkpoint": self.checkpoint,
            "ledger_hash": self.ledger_hash,
            "buckets": self.buckets,
            "version": CURRENT_VERSION,
            "tables": sorted(self.tables),
            "split": [
                self.split.segment_records,
                self.split.segment_bytes,
                self.split.segments_per_range,
                self.split.partitions,
            ],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def stages(self) -> frozenset[str]:
        """Kinds of unit that the tables need."""
        return frozenset(process.spec.stage for process in by_table(self.tables))

    @property
    def has_partitions(self) -> bool:
        """True if a table needs entries joined with their TTL."""
        return PARTITION in self.stages

    @property
    def has_totals(self) -> bool:
        """True if a table is a sum over all units."""
        return TOTALS in self.stages

    @property
    def work(self) -> WorkDir:
        """The build's own part of the work directory, another one for each place that the same state is built in."""
        targets = hashlib.sha256(json.dumps([self.db_url, self.parquet_dir]).encode()).hexdigest()
        return WorkDir(joined(self.work_dir, f"build-{self.build_id[:12]}-{targets[:8]}"))

    def finished_indexes(self, kind: str) -> frozenset[int]:
        """Indexes of the finished units of one kind."""
        return frozenset(index for unit_kind, index in self.finished if unit_kind == kind)
