"""Re-driving: records in quarantine are decoded and written again, each ledger on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import sqlalchemy as sa

from aurora_ingest.db import history, quarantine
from aurora_ingest.db.quarantine import LEDGER, Quarantined
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import LedgerBackend, RawLedger
from aurora_ingest.network import Network
from aurora_ingest.transforms.chunk_slices import named
from aurora_ingest.transforms.history_dataset import QUARANTINE, HistoryDataset
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from aurora_ingest.transforms.partition_draft import PartitionDraft
from aurora_ingest.transforms.processors import TableSpec, decoded_columns, history_by_table
from aurora_ingest.transforms.processors.processor import processed
from aurora_ingest.transforms.read_ledgers import LedgerReading, read_chunks
from aurora_ingest.transforms.row_group_file import read_between
from aurora_ingest.transforms.write_history_sql import write_slice


@dataclass(frozen=True)
class Redriven:
    """What a re-drive did.

    Attributes:
        mended: records that are stored now.
        stayed: records that are still in quarantine.
    """

    mended: int = 0
    stayed: int = 0

    def __add__(self, other: Redriven) -> Redriven:
        """Both together."""
        return Redriven(self.mended + other.mended, self.stayed + other.stayed)


class _HeldLedger:
    """One ledger out of quarantine as a source of ledgers, and the tables that lack its rows."""

    def __init__(self, raw: RawLedger, tables: tuple[str, ...]) -> None:
        self.name = "quarantine"
        self.repeatable = True
        self.raw = raw
        self.tables = tables

    def describe(self) -> str:
        return "the quarantine"

    def has_genesis(self) -> bool:
        return self.raw.sequence == 1

    def check(self, ledgers: LedgerRange) -> None:
        """It is there."""

    def available(self) -> LedgerRange:
        return LedgerRange(self.raw.sequence, self.raw.sequence)

    def read(self, ledgers: LedgerRange) -> Iterator[RawLedger]:
        yield from (raw for raw in (self.raw,) if raw.sequence in ledgers)

    def follow(self, first: int, stop: Callable[[], bool]) -> Iterator[RawLedger]:
        yield from (raw for raw in (self.raw,) if raw.sequence >= first and not stop())

    def units(self, network: Network) -> Iterator[LedgerUnit]:
        """Decodes the ledger and fills its tables; it comes back as refused if it still does not decode."""
        reading = LedgerReading(self, network, decoded_columns(self.tables), keep_going=True)
        for unit in read_chunks(reading, [LedgerRange(self.raw.sequence, self.raw.sequence)]):
            filled = unit
            for spec in self.specs:
                filled = processed(filled, spec)
            yield filled

    @property
    def specs(self) -> tuple[TableSpec, ...]:
        return tuple(process.spec for process in history_by_table(self.tables))


def redrive_database(
    engine: sa.Engine,
    network: Network,
    ledgers: LedgerRange,
    tables: Sequence[str],
    mended: LedgerBackend | None = None,
) -> Redriven:
    """Try what is in a database's quarantine again, each ledger in its own transaction.

    Args:
        engine: the database.
        network: the network that it holds.
        ledgers: only records of these.
        tables: only records of these history tables.
        mended: where to read the ledgers anew whose bytes could not be read; without it they stay.

    Raises:
        MigrationError: the schema is not ours.
        NetworkMismatchError: the database holds another network.
        DatabaseError: the ledgers go beyond the cursor and a follower runs.
    """
    target = history.HistoryTarget(tuple(tables), "quarantine", network.passphrase, keep_going=True)
    history.check(engine, ledgers, target)
    with engine.connect() as connection:
        places = quarantine.places(connection, ledgers, LEDGER)

    def held(ledger: int) -> Quarantined:
        with engine.connect() as connection:
            return next(
                each
                for each in quarantine.held(connection, LedgerRange(ledger, ledger))
                if each.kind == LEDGER and each.table in tables
            )

    done = Redriven(*history.mend_rows(engine, ledgers, target))
    for ledger, lacking in _of_tables(places, tables):
        source = _source(held(ledger), lacking, mended)
        if source is None:
            done += Redriven(stayed=len(lacking))
            continue
        chunk = source.available()
        with named(chunk):
            transaction = history.ChunkTransaction(engine, chunk, replace(target, tables=source.tables))
            try:
                stays = 0
                for unit in source.units(network):
                    write_slice(transaction, unit, source.specs)
                    stays += "refused" in unit.decoded
                transaction.commit_mended()
            finally:
                transaction.close()
        done += _outcome(source, stays=bool(stays))
    return done


def redrive_dataset(
    dataset: HistoryDataset,
    network: Network,
    ledgers: LedgerRange,
    tables: Sequence[str],
    mended: LedgerBackend | None = None,
) -> Redriven:
    """Try what is in a Parquet dataset's quarantine again, and write its manifest anew.

    Args:
        dataset: the dataset.
        network: the network that it holds.
        ledgers: only records of these.
        tables: only records of these history tables.
        mended: where to read the ledgers anew whose bytes could not be read; without it they stay.

    Raises:
        NetworkMismatchError: the dataset holds another network.
    """
    dataset.open()
    done = Redriven()
    for ledger, lacking in _of_tables(_places_in_files(dataset, ledgers, tables), tables):
        source = _source(_held_in_file(dataset, lacking[0], ledger), lacking, mended)
        if source is None:
            done += Redriven(stayed=len(lacking))
            continue
        chunk = source.available()
        with named(chunk):
            draft = PartitionDraft(dataset, chunk, source.specs)
            try:
                stays = 0
                for unit in source.units(network):
                    draft.write(unit)
                    stays += "refused" in unit.decoded
                draft.publish(mended=True)
            finally:
                draft.close()
        done += _outcome(source, stays=bool(stays))
    dataset.publish_manifest()
    return done


def _outcome(source: _HeldLedger, *, stays: bool) -> Redriven:
    count = len(source.tables)
    return Redriven(stayed=count) if stays else Redriven(mended=count)


def _of_tables(places: Mapping[int, tuple[str, ...]], tables: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yields the ledgers that lack rows of some tables, with those tables."""
    for ledger, some in sorted(places.items()):
        lacking = tuple(table for table in tables if table in some)
        if lacking:
            yield ledger, lacking


def _source(record: Quarantined, tables: tuple[str, ...], mended: LedgerBackend | None) -> _HeldLedger | None:
    """Returns the ledger of a record as a source of ledgers; None if its bytes are not there."""
    ledger = record.ledger
    if record.raw:
        raw = RawLedger(ledger, record.raw, f"quarantine of ledger {ledger}", record.has_meta)
    elif mended is not None:
        (raw,) = mended.read(LedgerRange(ledger, ledger))
    else:
        return None
    return _HeldLedger(raw, tables)


def _places_in_files(
    dataset: HistoryDataset, ledgers: LedgerRange, tables: Sequence[str]
) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for table in tables:
        for path in sorted((Path(dataset.root) / QUARANTINE).glob(f"*/{table}.parquet")):
            for ledger in pq.read_table(path, columns=["ledger_sequence"]).column(0).to_pylist():  # bad ledgers are few
                if ledger in ledgers:
                    found[ledger] = (*found.get(ledger, ()), table)
    return found


def _held_in_file(dataset: HistoryDataset, table: str, ledger: int) -> Quarantined:
    partition = dataset.partition_of(LedgerRange(ledger, ledger))
    path = Path(dataset.root) / QUARANTINE / dataset.name_of(partition) / f"{table}.parquet"
    (row,) = (row for batch in read_between(path, "ledger_sequence", ledger, ledger) for row in batch.to_pylist())
    names = ("ledger_sequence", "table_name", "kind", "position", "raw", "has_meta", "reason")
    return Quarantined(*(row[name] for name in names))
