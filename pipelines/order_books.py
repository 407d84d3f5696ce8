"""The order books of a range of ledgers: from a checkpoint, or genesis, over every ledger up to the last one wanted."""

from __future__ import annotations

import dataclasses
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import apache_beam as beam
import pyarrow as pa

from aurora_ingest.db import history, live
from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.db.engine import connect
from aurora_ingest.db.order_book import OrderBookRows
from aurora_ingest.errors import UsageError
from aurora_ingest.ledger.change import CHANGES as LEDGER_CHANGES
from aurora_ingest.ledger.change import COMPACTED_COLUMNS
from aurora_ingest.ledger.checkpoint import previous_checkpoint
from aurora_ingest.ledger.genesis import GENESIS_LEDGER
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import LedgerBackend
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.network import Network
from aurora_ingest.orderbook.graph import OFFER_COLUMNS, POOL_COLUMNS
from aurora_ingest.pipelines.build_state import plan_state_build
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.transforms.chunk_slices import close_writers
from aurora_ingest.transforms.extract_changes import CompactChangesPerLedger, ExtractChanges
from aurora_ingest.transforms.extract_chunk_receipts import ChunkReceipt, ExtractChunkReceipts, PublishHistoryManifest
from aurora_ingest.transforms.history_dataset import HistoryDataset
from aurora_ingest.transforms.order_book_chunks import GatherOrderBooks
from aurora_ingest.transforms.order_book_levels import NAME, SQL_SCHEMA, TABLE, with_json
from aurora_ingest.transforms.order_book_memory import forget
from aurora_ingest.transforms.orderbook import CHANGES, MARKS, ExtractPairChanges, UpdateOrderBookPerPair
from aurora_ingest.transforms.processors import PROCESSORS
from aurora_ingest.transforms.read_ledgers import LedgerReading, ReadLedgers
from aurora_ingest.transforms.snapshot_rows import snapshot_rows
from aurora_ingest.transforms.write_history_parquet import WriteToHistoryParquet
from aurora_ingest.transforms.write_history_sql import WriteToHistorySql

BOOK_TABLES: Final = ("offers", "liquidity_pools")
"""State tables that books are made of."""
_SQL_TABLE: Final = dataclasses.replace(TABLE, schema=SQL_SCHEMA)


@dataclass(frozen=True)
class OrderBookOptions:
    """One request for the order books of a range of ledgers.

    Attributes:
        network: the network.
        archive_urls: mirrors of its history archive; not needed for ledgers up to the first checkpoint.
        ledgers_url: where ledgers come from: those of the range, and those between it and the checkpoint before it.
        ledgers: which ones.
        depth: most prices on each side.
        db_url: the target database, or None.
        parquet_dir: the target folder, or None.
        chunk_ledgers: ledgers per chunk of the absolute grid, and per Parquet partition.
    """

    network: Network
    archive_urls: tuple[str, ...]
    ledgers_url: str
    ledgers: LedgerRange
    depth: int = 10
    db_url: str | None = None
    parquet_dir: str | None = None
    chunk_ledgers: int = 1000


@dataclass(frozen=True)
class OrderBookPlan:
    """Order books that can be written; picklable.

    Attributes:
        options: the request.
        backend: where ledgers come from.
        start: checkpoint that the books begin with, or 1 for genesis, when there were none.
        run: name of the run, for what it has open and keeps in this process.
    """

    options: OrderBookOptions
    backend: LedgerBackend
    start: int
    run: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False)

    @property
    def read(self) -> LedgerRange:
        """The ledgers that are read."""
        return LedgerRange(self.start + 1, self.options.ledgers.last)

    @property
    def spans(self) -> tuple[LedgerRange, ...]:
        """They, by chunk."""
        return tuple(self.read.chunks(self.options.chunk_ledgers))

    @property
    def reading(self) -> LedgerReading:
        """What is read and decoded."""
        columns = {"ledgers": ("ledger_sequence", "close_time"), LEDGER_CHANGES: COMPACTED_COLUMNS}
        return LedgerReading(self.backend, self.options.network, columns)

    @property
    def target(self) -> history.HistoryTarget:
        """What is written into the database."""
        return history.HistoryTarget((NAME,), self.backend.name, self.options.network.passphrase)

    @property
    def dataset(self) -> HistoryDataset | None:
        """Where Parquet goes."""
        options = self.options
        if options.parquet_dir is None:
            return None
        passphrase, name = options.network.passphrase, self.backend.name
        return HistoryDataset(options.parquet_dir, passphrase, options.chunk_ledgers, CURRENT_VERSION, name)


def plan_order_books(options: OrderBookOptions) -> OrderBookPlan:
    """Settle what will be done, and refuse at once what cannot be done.

    Raises:
        UsageError: no target, or ledger 1 is wanted, or no archive is named.
        BackendError: the source does not have the ledgers.
        NetworkMismatchError: a target holds another network.
        DatabaseError: the range goes beyond the cursor while a follower runs.
    """
    if options.db_url is None and options.parquet_dir is None:
        message = "order books need a target: give --db-url, --parquet or both"
        raise UsageError(message)
    if options.ledgers.first <= GENESIS_LEDGER:
        message = f"ledger {GENESIS_LEDGER} has no order books: give --from {GENESIS_LEDGER + 1} or later"
        raise UsageError(message)
    start = previous_checkpoint(options.ledgers.first, options.network.checkpoint_frequency) or GENESIS_LEDGER
    if start != GENESIS_LEDGER and not options.archive_urls:
        message = f"order books from ledger {options.ledgers.first} on begin with those of checkpoint {start}: "
        message += "which archive? Give --history-archive-url"
        raise UsageError(message)
    plan = OrderBookPlan(options, open_backend(options.ledgers_url, options.network), start)
    plan.backend.check(plan.read)
    if options.db_url is not None:
        engine = connect(options.db_url)
        try:
            history.check(engine, options.ledgers, plan.target)
        finally:
            engine.dispose()
    if plan.dataset is not None:
        plan.dataset.check()
    return plan


@contextmanager
def open_targets(plan: OrderBookPlan) -> Iterator[None]:
    """Make the targets ready, and keep followers out beyond the cursor while the block runs.

    Raises:
        NetworkMismatchError: a target holds another network.
        DatabaseError: the range goes beyond the cursor while a follower runs.
    """
    with ExitStack() as stack:
        stack.callback(close_writers, plan.run)
        stack.callback(forget, plan.run)
        if plan.dataset is not None:
            plan.dataset.open()
        if plan.options.db_url is not None:
            engine = connect(plan.options.db_url)
            stack.callback(engine.dispose)
            stack.enter_context(live.reingesting(engine, plan.options.ledgers))
            history.prepare(engine, plan.target)
        yield


def read_start(options: OrderBookOptions, start: int) -> OrderBookRows:
    """Return the offers and pools that a range begins with, proved by the archive.

    Args:
        options: the request.
        start: checkpoint, or 1.

    Raises:
        ArchiveError: the archive does not have the checkpoint, or it is not what its hashes say.
    """
    specs = {process.spec.name: process.spec for process in PROCESSORS}
    batches = {name: [pa.RecordBatch.from_pylist([], specs[name].schema)] for name in BOOK_TABLES}
    if start != GENESIS_LEDGER:
        with tempfile.TemporaryDirectory(prefix="aurora-books-") as folder:
            request = BuildStateOptions(
                options.network,
                options.archive_urls,
                start,
                parquet_dir=folder,  # a build has to have a target; this one is not opened
                tables=BOOK_TABLES,
                work_dir=folder,
            )
            for unit in snapshot_rows(plan_state_build(request)):
                for name in BOOK_TABLES:
                    if name in unit.tables:
                        batches[name].append(unit.tables[name])
    offers, pools = (_whole(batches[name]) for name in BOOK_TABLES)
    return OrderBookRows(start, offers.select(list(OFFER_COLUMNS)), pools.select(list(POOL_COLUMNS)), {})


def _whole(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches).combine_chunks()
    return table.to_batches()[0] if table.num_rows else batches[0]


def write_order_books(
    pipeline: beam.Pipeline, plan: OrderBookPlan, spans: tuple[LedgerRange, ...], *, in_rounds: bool
) -> beam.PCollection[ChunkReceipt]:
    """Add the order books of some spans to a pipeline.

    Args:
        pipeline: where to add it.
        plan: a plan whose targets are open.
        spans: consecutive ones out of ``plan.spans``.
        in_rounds: another run of this process follows with the next spans, or came before with the former ones.

    Returns:
        One ChunkReceipt per chunk that was written.
    """
    options = plan.options
    memory = plan.run if in_rounds else None
    places = [tuple((span.first, span.last) for span in spans)]
    changed = (
        pipeline
        | "Spans" >> beam.Create(places, reshuffle=False)
        | "ReadLedgers" >> ReadLedgers(plan.reading)
        | "ExtractChanges" >> ExtractChanges()
        | "CompactChangesPerLedger" >> CompactChangesPerLedger(BOOK_TABLES, options.network)
        | "ExtractPairChanges" >> ExtractPairChanges(partial(read_start, options, plan.start), memory=memory)
    )
    levels = changed[CHANGES] | "UpdateOrderBookPerPair" >> UpdateOrderBookPerPair(options.depth, memory=memory)
    gather = GatherOrderBooks(options.ledgers, options.chunk_ledgers)
    units = (levels, changed[MARKS]) | "GatherOrderBooks" >> gather
    if plan.dataset is not None:
        units = units | "WriteToHistoryParquet" >> WriteToHistoryParquet(plan.dataset, (TABLE,), plan.run)
    if options.db_url is not None:
        write = WriteToHistorySql(options.db_url, plan.target, (_SQL_TABLE,), plan.run)
        units = units | "WithJson" >> beam.Map(with_json) | "WriteToHistorySql" >> write
    receipts = units | "ExtractChunkReceipts" >> ExtractChunkReceipts()
    if plan.dataset is not None:
        _ = receipts | "PublishHistoryManifest" >> PublishHistoryManifest(plan.dataset)
    return receipts
