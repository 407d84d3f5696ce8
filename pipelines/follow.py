"""Following: ledgers become rows of state and history as they close, written by one of all nodes that follow."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import apache_beam as beam

from aurora_ingest import __version__
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
        verify_every: checkpoints from one comparison of the state with the archive to the next; 0 for none.
        tick_seconds: time between two ticks on an engine that runs the graph for ever; None for a graph of one run.
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
    verify_every: int = 0
    tick_seconds: float | None = None

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
            self.feed, self.backend, self.db_url, self.rules, self.until, made_by=self.made_by, engine=engine
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
            feed=self.feed,
            pause_every=self.verify_every * self.network.checkpoint_frequency,
            on_engine=self.tick_seconds is not None,
        )

    @property
    def made_by(self) -> str:
        """Version and processors, which name whose state a savepoint holds."""
        names = ", ".join(process.spec.name for process in self.processors)
        return f"aurora-ingest {__version__}, tables of version {CURRENT_VERSION}, processors {names}"

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
    return units | "LeadLedgers" >> LeadLedgers(plan.leading)
