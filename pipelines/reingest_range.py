"""The reingest of a range: closed ledgers become history tables, chunk by chunk, in a database, in Parquet or both."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import apache_beam as beam

from aurora_ingest.db import history, live
from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.db.engine import connect
from aurora_ingest.errors import UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger.toid import LEDGER_MAX
from aurora_ingest.ledger_backend.backend import LedgerBackend, readable_range
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.ledger_backend.meta_stream import MetaStream
from aurora_ingest.network import Network
from aurora_ingest.object_store.store import require_store
from aurora_ingest.pipelines.options import ReingestOptions
from aurora_ingest.transforms.chunk_slices import close_writers
from aurora_ingest.transforms.extract_chunk_receipts import ChunkReceipt, ExtractChunkReceipts, PublishHistoryManifest
from aurora_ingest.transforms.history_dataset import HistoryDataset
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from aurora_ingest.transforms.processors import HISTORY_TABLES, TableSpec, decoded_columns, history_by_table
from aurora_ingest.transforms.read_ledgers import LedgerReading, ReadLedgers
from aurora_ingest.transforms.write_history_parquet import WriteToHistoryParquet
from aurora_ingest.transforms.write_history_sql import WriteToHistorySql

MAX_CHUNK_LEDGERS = 65_536
"""A chunk of so many ledgers needs a thousand locks of its database, which every server has."""


@dataclass(frozen=True)
class ReingestPlan:
    """A reingest that can be carried out; picklable.

    Attributes:
        network: the network of the ledgers.
        backend: where they come from.
        ledgers: which ones; without ledger 1 if the source cannot have it.
        genesis: where ledger 1 comes from, or why it is left out; empty if it was not asked for.
        tables: history tables, in the order in which they are written.
        chunk_ledgers: ledgers per chunk of the absolute grid.
        chunks: what has to be written, ascending.
        done: chunks of the range that are left out because they are written already.
        db_url: the target database, or None.
        parquet_dir: the target folder, or None.
        keep_going: refused records go into quarantine.
        workers: chunks at a time.
        run: name of the run, for what it has open in this process.
    """

    network: Network
    backend: LedgerBackend
    ledgers: LedgerRange
    genesis: str
    tables: tuple[str, ...]
    chunk_ledgers: int
    chunks: tuple[LedgerRange, ...]
    done: tuple[LedgerRange, ...]
    db_url: str | None
    parquet_dir: str | None
    keep_going: bool
    workers: int
    run: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False)

    @property
    def specs(self) -> tuple[TableSpec, ...]:
        """The tables with their schemas."""
        return tuple(process.spec for process in history_by_table(self.tables))

    @property
    def target(self) -> history.HistoryTarget:
        """What is written into the database."""
        return history.HistoryTarget(self.tables, self.backend.name, self.network.passphrase, self.keep_going)

    @property
    def dataset(self) -> HistoryDataset | None:
        """Where Parquet goes."""
        if self.parquet_dir is None:
            return None
        return HistoryDataset(
            self.parquet_dir, self.network.passphrase, self.chunk_ledgers, CURRENT_VERSION, self.backend.name
        )

    @property
    def reading(self) -> LedgerReading:
        """What is read and decoded."""
        return LedgerReading(self.backend, self.network, decoded_columns(self.tables), self.keep_going)

    def groups(self) -> list[tuple[tuple[int, int], ...]]:
        """The chunks by passes over the source: one each; of a stream, which is read from its start, one per worker."""
        spans = [(chunk.first, chunk.last) for chunk in self.chunks]
        size = 1 if self.backend.name != MetaStream.name else -(-len(spans) // self.workers)
        return [tuple(spans[start : start + size]) for start in range(0, len(spans), max(size, 1))]


def plan_reingest(options: ReingestOptions) -> ReingestPlan:
    """Settle what a reingest will do, and refuse at once what cannot be done; no rows are written.

    Args:
        options: the request.

    Raises:
        UsageError: no target, an unknown table, a chunk size out of bounds, or ledgers that ids cannot name.
        MissingLedgersError: the source does not have the whole range.
        BackendError: the source is not what it should be.
        NetworkMismatchError: source or target is of another network.
        DatabaseError: the database cannot take it; or the range goes beyond the cursor while a follower runs.
    """
    if options.db_url is None and options.parquet_dir is None:
        message = "a reingest needs a target: give --db-url, --parquet or both"
        raise UsageError(message)
    require_store(options.parquet_dir, "--parquet")
    if not 1 <= options.chunk_ledgers <= MAX_CHUNK_LEDGERS:
        message = f"chunks of {options.chunk_ledgers} ledgers: expected 1 to {MAX_CHUNK_LEDGERS}"
        raise UsageError(message)
    if options.ledgers.last > LEDGER_MAX:
        message = f"ledger range {options.ledgers} ends above ledger {LEDGER_MAX}, the last one that ids can name"
        raise UsageError(message)
    tables = HISTORY_TABLES if options.tables is None else options.tables
    tables = tuple(process.spec.name for process in history_by_table(tables))
    backend = open_backend(options.ledgers_url, options.network, options=options.backend)
    ledgers, genesis = readable_range(backend, options.ledgers)
    backend.check(ledgers)
    chunks = tuple(ledgers.chunks(options.chunk_ledgers))
    plan = ReingestPlan(
        network=options.network,
        backend=backend,
        ledgers=ledgers,
        genesis=genesis,
        tables=tables,
        chunk_ledgers=options.chunk_ledgers,
        chunks=chunks,
        done=(),
        db_url=options.db_url,
        parquet_dir=options.parquet_dir,
        keep_going=options.keep_going,
        workers=options.workers if backend.repeatable and not _has_one_writer(options.db_url) else 1,
    )
    missing = _check_targets(plan, resume=options.resume)
    left = tuple(chunk for chunk in chunks if chunk in missing)
    return dataclasses.replace(plan, chunks=left, done=tuple(chunk for chunk in chunks if chunk not in missing))


def estimate(plan: ReingestPlan) -> int | None:
    """Guess from three ledgers how many bytes of XDR are still to be read; None for a source that is read only once.

    Args:
        plan: a plan of any range.
    """
    if not plan.backend.repeatable or not plan.chunks:
        return None if plan.chunks else 0
    last = plan.chunks[-1].last
    sample = sorted({plan.chunks[0].first, (plan.chunks[0].first + last) // 2, last})
    sizes = [len(raw.data) for ledger in sample for raw in plan.backend.read(LedgerRange(ledger, ledger))]
    return sum(sizes) * sum(len(chunk) for chunk in plan.chunks) // len(sizes)


def _check_targets(plan: ReingestPlan, *, resume: bool) -> set[LedgerRange]:
    """Refuses targets that the plan may not write; returns the chunks that it has to write."""
    missing: set[LedgerRange] = set() if resume else set(plan.chunks)
    if plan.db_url is not None:
        engine = connect(plan.db_url)
        try:
            history.check(engine, plan.ledgers, plan.target)
            missing.update(history.unwritten(engine, plan.chunks, plan.target))
        finally:
            engine.dispose()
    if plan.dataset is not None:
        plan.dataset.check()
        missing.update(plan.dataset.unwritten(plan.chunks, plan.tables))
    return missing


def _has_one_writer(db_url: str | None) -> bool:
    return db_url is not None and db_url.startswith("sqlite")


@contextmanager
def open_targets(plan: ReingestPlan) -> Iterator[None]:
    """Make the targets ready for a plan, and keep followers out beyond the cursor while the block runs.

    Raises:
        NetworkMismatchError: a target holds another network.
        DatabaseError: the range goes beyond the cursor while a follower runs.
    """
    with ExitStack() as stack:
        stack.callback(close_writers, plan.run)
        if plan.dataset is not None:
            plan.dataset.open()
        if plan.db_url is not None:
            engine = connect(plan.db_url)
            stack.callback(engine.dispose)
            stack.enter_context(live.reingesting(engine, plan.ledgers))
            history.prepare(engine, plan.target)
        yield


def reingest_range(pipeline: beam.Pipeline, plan: ReingestPlan) -> beam.PCollection[ChunkReceipt]:
    """Add the whole reingest to a pipeline.

    Every group of chunks is one element; reading, processors and writers fuse, so that the slices of a chunk go
    through the chain one by one. Only receipts are shuffled.

    Args:
        pipeline: where to add it.
        plan: a plan whose targets are open.

    Returns:
        One ChunkReceipt per chunk.
    """
    units: beam.PCollection[LedgerUnit] = (
        pipeline
        | "Chunks" >> beam.Create(plan.groups(), reshuffle=False)
        | "SpreadChunks" >> beam.Reshuffle()
        | "ReadLedgers" >> ReadLedgers(plan.reading)
    )
    for process in history_by_table(plan.tables):
        units = units | process.__name__ >> process()
    if plan.dataset is not None:
        units = units | "WriteToHistoryParquet" >> WriteToHistoryParquet(plan.dataset, plan.specs, plan.run)
    if plan.db_url is not None:
        units = units | "WriteToHistorySql" >> WriteToHistorySql(plan.db_url, plan.target, plan.specs, plan.run)
    receipts = units | "ExtractChunkReceipts" >> ExtractChunkReceipts()
    if plan.dataset is not None:
        _ = receipts | "PublishHistoryManifest" >> PublishHistoryManifest(plan.dataset)
    return receipts
