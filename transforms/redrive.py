"""Re-driving: records in quarantine are decoded and written again, each ledger on its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from aurora_ingest.db import history, quarantine
from aurora_ingest.db.quarantine import LEDGER, TRANSACTION, Quarantined
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import LedgerBackend, RawLedger
from aurora_ingest.network import Network
from aurora_ingest.object_store.local_store import LocalStore
from aurora_ingest.transforms.chunk_slices import named
from aurora_ingest.transforms.history_dataset import QUARANTINE, HistoryDataset
from aurora_ingest.transforms.ledger_counts import quarantined_records
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from aurora_ingest.transforms.partition_draft import PartitionDraft
from aurora_ingest.transforms.processors import TableSpec, decoded_columns, history_by_table
from aurora_ingest.transforms.processors.processor import processed
from aurora_ingest.transforms.read_ledgers import LedgerReading, read_chunks
from aurora_ingest.transforms.row_group_file import read_between
from aurora_ingest.transforms.write_history_sql import write_slice

_DECODED_ANEW = (LEDGER, TRANSACTION)
"""Kinds of records whose ledger is decoded again as a whole; rows are only written again."""


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
        self._left = 0

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
        """Decodes the ledger and fills its tables; what still does not decode comes back as refused."""
        reading = LedgerReading(self, network, decoded_columns(self.tables), keep_going=True)
        for unit in read_chunks(reading, [LedgerRange(self.raw.sequence, self.raw.sequence)]):
            filled = unit
            for spec in self.specs:
                filled = processed(filled, spec)
            self._left += sum(len(quarantined_records(filled, spec.name)) for spec in self.specs)
            yield filled

    def outcome(self, records: Sequence[Quarantined]) -> Redriven:
        """What became of the records, once the units are through."""
        return Redriven(mended=max(len(records) - self._left, 0), stayed=self._left)

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
        mended: where to read the ledgers anew; without it they are those in quarantine, and stay if their bytes could
            not be read.

    Raises:
        MigrationError: the schema is not ours.
        NetworkMismatchError: the database holds another network.
        DatabaseError: the ledgers go beyond the cursor and a follower runs.
    """
    target = history.HistoryTarget(tuple(tables), "quarantine", network.passphrase, keep_going=True)
    history.check(engine, ledgers, target)
    with engine.connect() as connection:
        places = quarantine.places(connection, ledgers, *_DECODED_ANEW)

    def held(ledger: int) -> list[Quarantined]:
        with engine.connect() as connection:
            return list(quarantine.held(connection, LedgerRange(ledger, ledger)))

    done = Redriven(*history.mend_rows(engine, ledgers, target))
    for ledger, lacking in _of_tables(places, tables):
        records = _to_decode(held(ledger), lacking)
        source = _source(records, lacking, mended)
        if source is None:
            done += Redriven(stayed=len(records))
            continue
        chunk = source.available()
        with named(chunk):
            transaction = history.ChunkTransaction(engine, chunk, replace(target, tables=source.tables))
            try:
                for unit in source.units(network):
                    write_slice(transaction, unit, source.specs)
                transaction.commit_mended()
            finally:
                transaction.close()
        done += source.outcome(records)
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
        mended: where to read the ledgers anew; without it they are those in quarantine, and stay if their bytes could
            not be read.

    Raises:
        NetworkMismatchError: the dataset holds another network.
    """
    dataset.open()
    done = Redriven()
    for ledger, lacking in _of_tables(_places_in_files(dataset, ledgers, tables), tables):
        records = _to_decode(_held_in_files(dataset, lacking, ledger), lacking)
        source = _source(records, lacking, mended)
        if source is None:
            done += Redriven(stayed=len(records))
            continue
        chunk = source.available()
        with named(chunk):
            draft = PartitionDraft(dataset, chunk, source.specs)
            try:
                for unit in source.units(network):
                    draft.write(unit)
                draft.publish(mended=True)
            finally:
                draft.close()
        done += source.outcome(records)
    dataset.publish_manifest()
    return done


def _to_decode(records: Iterable[Quarantined], tables: Sequence[str]) -> list[Quarantined]:
    return [each for each in records if each.kind in _DECODED_ANEW and each.table in tables]


def _of_tables(places: Mapping[int, tuple[str, ...]], tables: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yields the ledgers that lack rows of some tables, with those tables."""
    for ledger, some in sorted(places.items()):
        lacking = tuple(table for table in tables if table in some)
        if lacking:
            yield ledger, lacking


def _source(
    records: Sequence[Quarantined], tables: tuple[str, ...], mended: LedgerBackend | None
) -> _HeldLedger | None:
    """Returns the ledger of some records as a source of ledgers; None if its bytes are not there."""
    ledger = records[0].ledger
    if mended is not None:
        (raw,) = mended.read(LedgerRange(ledger, ledger))
        return _HeldLedger(raw, tables)
    whole = next((each for each in records if each.raw), None)
    if whole is None:
        return None
    return _HeldLedger(RawLedger(ledger, whole.raw, f"quarantine of ledger {ledger}", whole.has_meta), tables)


def _places_in_files(
    dataset: HistoryDataset, ledgers: LedgerRange, tables: Sequence[str]
) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for table in tables:
        for name in dataset.store.folders(f"{QUARANTINE}/"):
            path = f"{QUARANTINE}/{name}/{table}.parquet"
            if dataset.store.size(path) is None:
                continue
            with _at_hand(dataset, path) as file:
                sequences = pq.read_table(file, columns=["ledger_sequence"]).column(0)
            for ledger in pc.unique(sequences).to_pylist():  # bad ledgers are few
                if ledger in ledgers:
                    found[ledger] = (*found.get(ledger, ()), table)
    return found


@contextmanager
def _at_hand(dataset: HistoryDataset, path: str) -> Iterator[Path]:
    """Gives a file of the dataset on this machine."""
    if isinstance(dataset.store.plain, LocalStore):
        yield dataset.store.plain.root / path
        return
    with tempfile.NamedTemporaryFile(prefix="aurora-quarantine-") as copy:
        dataset.store.fetch(path, Path(copy.name))
        yield Path(copy.name)


def _held_in_files(dataset: HistoryDataset, tables: Sequence[str], ledger: int) -> list[Quarantined]:
    partition = dataset.name_of(dataset.partition_of(LedgerRange(ledger, ledger)))
    names = ("ledger_sequence", "table_name", "kind", "position", "raw", "has_meta", "reason")
    found = []
    for table in tables:
        with _at_hand(dataset, f"{QUARANTINE}/{partition}/{table}.parquet") as file:
            for batch in read_between(file, "ledger_sequence", ledger, ledger):
                # Bad records are few.
                found += [Quarantined(*(row[name] for name in names)) for row in batch.to_pylist()]
    return found
