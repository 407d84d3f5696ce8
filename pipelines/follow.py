"""Following: ledgers become rows of state and history as they close, written by one of all nodes that follow."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import apache_beam as beam
import sqlalchemy as sa

from aurora_ingest import __version__
from aurora_ingest.db import cursor, order_book_levels
from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.ledger_backend.backend import LedgerBackend
from aurora_ingest.network import Network
from aurora_ingest.transforms.extract_changes import CompactChangesPerLedger
from aurora_ingest.transforms.lead import CommittedLedger, Leading, LeadLedgers
from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.prepare_ledgers import LedgerRules
from aurora_ingest.transforms.processors import TABLES, by_table, history_by_table
from aurora_ingest.transforms.processors.processor import ProcessTable
from aurora_ingest.transforms.read_ledgers_continuously import ContinuousReading, OnEngine, ReadLedgersContinuously
from aurora_ingest.transforms.write_order_books import WriteOrderBooks


@dataclass(frozen=True)
class FollowPlan:
    """What a node follows and how; picklable.

    Attributes:
        network: the network.
        backend: where its ledgers come from.
        db_url: the database that holds the state.
        node: name of this node, unique among those of the database.
        history_tables: history tables that are written with the state.
        deadline_seconds: how long any node may hold the cursor.
        patience_seconds: how long a refused lock is tried again within one tick.
        until: last ledger, or None to follow for ever.
        feed: name of this process's feed of the source.
        keep_going: what cannot be read or stored goes into quarantine instead of stopping the node.
        verify_every: checkpoints from one comparison of the state with the archive to the next; 0 for none.
        tick_seconds: time between two ticks on an engine that runs the graph for ever; None for a graph of one run.
        order_book_depth: most prices on each side in ``order_book_levels``; 0 leaves that table alone.
    """

    network: Network
    backend: LedgerBackend
    db_url: str
    node: str
    history_tables: tuple[str, ...] = ()
    deadline_seconds: float = 30.0
    patience_seconds: float = 0.0
    until: int | None = None
    feed: str = ""
    keep_going: bool = False
    verify_every: int = 0
    tick_seconds: float | None = None
    order_book_depth: int = 0

    def __post_init__(self) -> None:
        """Name the feed, so that two plans of one process never share theirs."""
        if not self.feed:
            object.__setattr__(self, "feed", uuid.uuid4().hex)

    @property
    def rules(self) -> LedgerRules:
        """What is made of every ledger."""
        return LedgerRules(self.network, TABLES, self.history_tables)

    @property
    def reading(self) -> ContinuousReading:
        """What is read and decoded."""
        engine = None if self.tick_seconds is None else OnEngine(self.tick_seconds)
        return ContinuousReading(
            self.feed,
            self.backend,
            self.db_url,
            self.rules,
            self.until,
            keep_going=self.keep_going,
            made_by=self.made_by,
            engine=engine,
        )

    @property
    def leading(self) -> Leading:
        """How ledgers are committed."""
        return Leading(
            self.db_url,
            self.node,
            self.rules,
            self.deadline_seconds,
            self.patience_seconds,
            keep_going=self.keep_going,
            feed=self.feed,
            pause_every=self.verify_every * self.network.checkpoint_frequency,
            on_engine=self.tick_seconds is not None,
        )

    @property
    def made_by(self) -> str:
        """Version and processors, which name whose state a savepoint holds."""
        names = ", ".join(process.spec.name for process in self.processors)
        made_by = f"aurora-ingest {__version__}, tables of version {CURRENT_VERSION}, processors {names}"
        return f"{made_by}, order books to {self.order_book_depth}" if self.order_book_depth else made_by

    @property
    def processors(self) -> tuple[type[ProcessTable], ...]:
        """The chain that every ledger goes through."""
        state = (process for process in by_table(TABLES) if process.spec.stage == RANGE)
        return (*state, *history_by_table(self.history_tables))


def build_follow(
    pipeline: beam.Pipeline, plan: FollowPlan, ticks: beam.PTransform
) -> beam.PCollection[CommittedLedger]:
    """Add following to a pipeline.

    Args:
        pipeline: where to add it.
        plan: what to follow.
        ticks: makes the ticks out of a pipeline: int elements, each a ledger to go on after or NO_POSITION; bounded
            or unbounded.

    Returns:
        Every ledger of this node once it is committed, ascending, with whether this node wrote it.
    """
    units = (
        pipeline
        | "Ticks" >> ticks
        | "ReadLedgersContinuously" >> ReadLedgersContinuously(plan.reading)
        | "CompactChangesPerLedger" >> CompactChangesPerLedger(TABLES, plan.network)
    )
    for process in plan.processors:
        units = units | process.__name__ >> process()
    committed = units | "LeadLedgers" >> LeadLedgers(plan.leading)
    if plan.order_book_depth:
        memory = plan.feed if plan.tick_seconds is None else None
        write = WriteOrderBooks(plan.db_url, plan.order_book_depth, memory=memory)
        _ = committed | "WriteOrderBooks" >> write
    return committed


def place_to_go_on(database: sa.Engine, plan: FollowPlan, former: int | None, *, failed: bool) -> tuple[int, int]:
    """Tell where a node begins whose graph runs in rounds.

    Args:
        database: the database.
        plan: what it follows.
        former: last ledger that this process has seen committed, None at its beginning.
        failed: it has just failed more than once, so it does not ask for older ledgers, which the source may lack.

    Returns:
        The cursor, and the ledger to go on after: where the node was, so that it passes on every ledger; else the
        cursor; or up to 64 ledgers earlier if their order books are not written.
    """
    with database.connect() as connection:
        last = cursor.read_last_ledger(connection) or 0
        position = last if former is None or former > last else former
        if plan.order_book_depth and plan.backend.repeatable and not failed:
            position = order_book_levels.place_to_go_on(connection, position)
    return last, position
