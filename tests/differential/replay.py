"""States in SQLite that are carried from ledger to ledger, and read back for comparison."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest import _kernel
from aurora_ingest.db.apply_state import apply_state, stage_states
from aurora_ingest.db.engine import connect, writing
from aurora_ingest.db.load import load_batch
from aurora_ingest.db.order_book_removals import order_book_removals
from aurora_ingest.db.state_change import StateChange
from aurora_ingest.db.tables import METADATA, STATE_TABLES
from aurora_ingest.ledger.change import CHANGES, COMPACTED_COLUMNS
from aurora_ingest.ledger.genesis import GENESIS_LEDGER
from aurora_ingest.network import Network
from aurora_ingest.transforms.extract_changes import compacted, genesis_unit, ledger_units
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit, Receipt
from aurora_ingest.transforms.processors import TABLES, entry_columns
from aurora_ingest.transforms.state_changes import state_change, with_tables
from differential.built_state import built_state
from differential.closed_ledgers import framed

COLUMNS = {"ledgers": ("ledger_sequence",), CHANGES: COMPACTED_COLUMNS}
NOT_IN_META = ("eviction_iterator", "live_soroban_state_size_window")
"""Config settings that change in every ledger without any trace in its meta."""

Rows = list[tuple[Any, ...]]


def changed(unit: LedgerUnit, network: Network) -> StateChange:
    """Returns what a ledger does to the state."""
    unit = compacted(unit, entry_columns(TABLES), network.network_id)
    return state_change(with_tables(unit, TABLES), TABLES, network)


@functools.cache
def state_changes(meta: Path, network: Network) -> dict[int, StateChange]:
    """Returns what genesis and every ledger of a file of metas do to the state, by ledger."""
    kernel = _kernel.LedgerDecoder(network_id=network.network_id, columns=COLUMNS)
    for ledger in framed(meta.read_bytes()):
        if _kernel.ledger_sequence_of(ledger) > GENESIS_LEDGER:
            kernel.push(ledger)
    tables = {name: pa.record_batch(batch) for name, batch in kernel.take().items()}
    ledgers = tables["ledgers"].column("ledger_sequence").to_pylist()
    receipt = Receipt(CHUNK, 0, last=True)
    unit = LedgerUnit(CHUNK, 0, True, ledgers[0], ledgers[-1], {}, {}, {}, receipt, decoded=tables)
    every = [genesis_unit(network), *ledger_units(unit)]
    return {each.last_ledger: changed(each, network) for each in every}


class ReplayedState:
    """All state tables of one database, at one ledger."""

    def __init__(self, url: str) -> None:
        """Makes the tables in an empty database."""
        self._engine = connect(url)
        METADATA.create_all(self._engine, tables=[*STATE_TABLES.values(), order_book_removals])
        self.ledger = 0

    def load(self, ledger: int, tables: Mapping[str, pa.Table]) -> ReplayedState:
        """Takes a built state."""
        with writing(self._engine) as connection:
            for name, table in tables.items():
                for batch in table.to_batches():
                    load_batch(connection, name, batch)
        self.ledger = ledger
        return self

    def apply(self, changes: Iterable[StateChange], *, together: int = 1) -> None:
        """Applies ledgers in order, so many in one transaction, all of them staged before the first is applied."""
        for group in grouped(changes, together):
            with writing(self._engine) as connection:
                staged = stage_states(connection, group)
                for each in staged:
                    assert each.ledger == self.ledger + 1
                    apply_state(connection, each)
                    self.ledger = each.ledger

    def rows(self, table: str) -> Rows:
        """Returns the rows of a table in the order of their keys, without what no meta tells."""
        source = STATE_TABLES[table]
        columns = [column for column in source.columns if column.name != "as_of_checkpoint"]
        query = sa.select(*columns).order_by(*source.primary_key.columns)
        if table == "config_settings":
            query = query.where(source.c.name.not_in(NOT_IN_META))
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def checkpoints_of_settings(self) -> dict[str, int]:
        """Returns the ledger at which each config setting was last read."""
        table = STATE_TABLES["config_settings"]
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(table.c.name, table.c.as_of_checkpoint)).all()
        return {row.name: row.as_of_checkpoint for row in rows}

    def clear(self) -> None:
        """Empties all tables."""
        with writing(self._engine) as connection:
            for table in STATE_TABLES.values():
                connection.execute(sa.delete(table))

    def close(self) -> None:
        """Lets the database go."""
        self._engine.dispose()


@contextmanager
def replayed(url: str | None = None) -> Iterator[ReplayedState]:
    """An empty state for the time of a block, in an SQLite file of its own if no database is given."""
    with tempfile.TemporaryDirectory() as folder:
        state = ReplayedState(url or f"sqlite:///{folder}/state.db")
        try:
            yield state
        finally:
            state.close()


def grouped(changes: Iterable[StateChange], size: int) -> Iterator[list[StateChange]]:
    """Yields the changes in groups of a size; the last may be smaller."""
    group: list[StateChange] = []
    for change in changes:
        group.append(change)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def state_rows(state: ReplayedState) -> dict[str, Rows]:
    """Returns the rows of all tables."""
    return {table: state.rows(table) for table in STATE_TABLES}


@functools.cache
def built_rows(archive: Path, checkpoint: int, passphrase: str) -> dict[str, Rows]:
    """Returns the rows of all tables that are built from an archive, as SQLite gives them back."""
    with replayed() as state:
        return state_rows(state.load(checkpoint, built_state(archive, checkpoint, passphrase)))


def assert_same_states(place: str, ours: dict[str, Rows], expected: dict[str, Rows]) -> None:
    """Asserts that every table has the same rows in both."""
    for table in STATE_TABLES:
        mine, theirs = ours[table], expected[table]
        if mine != theirs:
            lacking = [row for row in theirs if row not in mine][:3]
            extra = [row for row in mine if row not in theirs][:3]
            message = f"{place} {table}: {len(mine)} rows, expected {len(theirs)}\nlacking {lacking}\nextra {extra}"
            raise AssertionError(message)
