"""What a user asks of a pipeline, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import BackendOptions
from aurora_ingest.network import Network


@dataclass(frozen=True)
class BuildStateOptions:
    """One request for a state build.

    Attributes:
        network: the network whose archive is read.
        archive_urls: mirrors of the history archive, tried in this order.
        checkpoint: ledger of the state, or None for the archive's latest.
        db_url: SQLAlchemy URL of the target database, or None.
        parquet_dir: folder of the Parquet datasets, or None.
        tables: tables to build, or None for all.
        cache_dir: folder for downloaded buckets, or None to stream them.
        work_dir: folder for intermediate files; workers on other machines must share it.
        trusted_ledger: (sequence, hex hash) of a ledger known to be right, or None.
        resume: take up an unfinished build.
        abandon: drop an unfinished build first.
        spread: spread key ranges over workers instead of one streaming merge.
        strict_bucket_algebra: make a broken INIT rule fatal.
        takeover_after: seconds without heartbeat after which another builder may be replaced.
    """

    network: Network
    archive_urls: tuple[str, ...]
    checkpoint: int | None = None
    db_url: str | None = None
    parquet_dir: str | None = None
    tables: tuple[str, ...] | None = None
    cache_dir: Path | None = None
    work_dir: str | None = None
    trusted_ledger: tuple[int, str] | None = None
    resume: bool = False
    abandon: bool = False
    spread: bool = False
    strict_bucket_algebra: bool = False
    takeover_after: float = 30.0


@dataclass(frozen=True)
class ReingestOptions:
    """One request to write the history of a range of ledgers anew.

    Attributes:
        network: the network of the ledgers.
        ledgers_url: where they come from.
        ledgers: which ones.
        db_url: SQLAlchemy URL of the target database, or None.
        parquet_dir: folder of the Parquet dataset, or None.
        tables: history tables to write, or None for all.
        chunk_ledgers: ledgers per chunk of the absolute grid, and per Parquet partition.
        resume: leave out the chunks that are written already.
        keep_going: put records that cannot be stored into quarantine instead of stopping.
        backend: what can be set about the source of the ledgers.
        workers: chunks at a time.
    """

    network: Network
    ledgers_url: str
    ledgers: LedgerRange
    db_url: str | None = None
    parquet_dir: str | None = None
    tables: tuple[str, ...] | None = None
    chunk_ledgers: int = 1000
    resume: bool = False
    keep_going: bool = False
    backend: BackendOptions = field(default_factory=lambda: BackendOptions(buffer_bytes=16 << 20))
    workers: int = 1


@dataclass(frozen=True)
class VerifyOptions:
    """One request to verify a range of ledgers.

    Attributes:
        network: the network of the ledgers.
        ledgers: what to verify.
        work_dir: folder for intermediate files; workers on other machines must share it.
        archive_urls: mirrors of the history archive, tried in this order; none of them checks no state.
        ledgers_url: where the ledgers come from, or None for the history archive.
        trusted_ledger: (sequence, hex hash) of a ledger known to be right, or None.
        read_buckets: read the entries of every checkpoint in the range, for supply and state.
        parquet_dir: folder of the Parquet dataset, or None.
        cache_dir: folder for downloaded buckets, or None to stream them.
        kind: kind of the ledger source where its address does not tell, or None.
    """

    network: Network
    ledgers: LedgerRange
    work_dir: str
    archive_urls: tuple[str, ...] = ()
    ledgers_url: str | None = None
    trusted_ledger: tuple[int, str] | None = None
    read_buckets: bool = True
    parquet_dir: str | None = None
    cache_dir: Path | None = None
    kind: str | None = None
