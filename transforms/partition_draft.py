"""One partition of a Parquet history in the making: new rows of a chunk between the old rows of its other ledgers."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from aurora_ingest.db.history import COUNTS_SCHEMA, ledger_bounds
from aurora_ingest.errors import WriteConflictError
from aurora_ingest.history_archive.storage import NotThereError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.object_store.local_store import LocalStore
from aurora_ingest.object_store.patient_store import PatientStore
from aurora_ingest.object_store.publication import Move, Publication, publish, roll_forward
from aurora_ingest.object_store.store import ABSENT
from aurora_ingest.transforms.history_dataset import (
    COUNTS,
    PART,
    QUARANTINE,
    WORK,
    HistoryDataset,
    PartFile,
    PartitionManifest,
    TableInPartition,
    joined_spans,
    require_version,
)
from aurora_ingest.transforms.ledger_counts import (
    QUARANTINE_SCHEMA,
    ledger_counts,
    quarantine_batch,
    quarantined_records,
)
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from aurora_ingest.transforms.processors import TableSpec
from aurora_ingest.transforms.row_group_file import RowGroupFile, read_between

_COUNT_ROWS: Final = 65_536
_QUARANTINE_ROWS: Final = 64
_LOWEST: Final = -(1 << 63)
_HIGHEST: Final = (1 << 63) - 1


class _Output:
    """One file: the old rows before the chunk, the chunk's rows, the old rows after it."""

    def __init__(
        self, former: _Former, path: str, draft: Path, schema: pa.Schema, group_rows: int, bounds: tuple[str, int, int]
    ) -> None:
        self.path = path
        self.draft = draft
        self._former = former
        self._old: Path | None = None
        self._column, self._least, self._greatest = bounds
        self._file = RowGroupFile(draft, schema, group_rows)

    def begin(self, *, keep: bool) -> None:
        """Takes over the rows before the chunk."""
        self._old = self._former.file(self.path) if keep else None
        self._take(_LOWEST, self._least - 1)

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends rows of the chunk."""
        self._file.write(batch)

    def end(self) -> PartFile:
        """Takes over the rows after the chunk and closes the file."""
        self._take(self._greatest + 1, _HIGHEST)
        size, digest = self._file.close()
        return PartFile(self.path, self._file.rows, size, digest)

    def abandon(self) -> None:
        """Gives the draft up."""
        self._file.abandon()

    def _take(self, least: int, greatest: int) -> None:
        if self._old is not None:
            for batch in read_between(self._old, self._column, least, greatest):
                self._file.write(batch)


class _Former:
    """The files that a partition has: on a disk as they are, from a bucket copies that their manifest names."""

    def __init__(self, store: PatientStore, folder: Path) -> None:
        self.manifest: PartitionManifest | None = None
        self._store = store
        self._folder = folder

    def file(self, path: str) -> Path | None:
        """The file of a path; None if there is none.

        Raises:
            WriteConflictError: it is not the one of the manifest any more.
        """
        if isinstance(self._store.plain, LocalStore):
            place = self._store.plain.root / path
            return place if place.exists() else None
        assert self.manifest is not None
        named = {file.path: file for table in self.manifest.tables.values() for file in table.files}
        if path not in named:
            return None
        copy = self._folder / f"{len(list(self._folder.iterdir())):05d}.former"
        try:
            same = self._store.fetch(path, copy) == named[path].sha256
        except NotThereError:
            same = False
        if not same:
            message = f"{path} of {self._store.url} is not what its manifest says: another writer changes it; run again"
            raise WriteConflictError(message)
        return copy


class PartitionDraft:
    """The files that replace those of one partition, together; nothing is visible before ``publish``.

    On a disk it holds the partition's lock from the start to ``publish`` or ``close``. In a bucket it rests on the
    version of the partition's manifest: ``publish`` fails if another writer was faster. What a crash left of an earlier
    draft is finished if it was ready, else dropped.
    """

    def __init__(self, dataset: HistoryDataset, chunk: LedgerRange, specs: Sequence[TableSpec]) -> None:
        """Opens the drafts and takes over the rows of ledgers before the chunk.

        Args:
            dataset: where the partition belongs.
            chunk: ledgers whose rows will be written, inside one partition.
            specs: the tables.

        Raises:
            DatabaseError: rows to be kept were made by other rules.
            WriteConflictError: another writer changes the partition.
        """
        partition = dataset.partition_of(chunk)
        name = dataset.name_of(partition)
        self._dataset, self._chunk, self._specs = dataset, chunk, tuple(specs)
        self._partition, self._name = partition, name
        self._store = dataset.store
        self._outputs: dict[str, tuple[_Output, _Output, _Output]] = {}
        self._rows = dict.fromkeys((spec.name for spec in specs), 0)
        self._quarantined = dict(self._rows)
        self._stack = ExitStack()
        self._stack.enter_context(dataset.locked(name))
        self._folder = self._drafts()
        self._old = _Former(self._store, self._folder)
        self._stack.callback(self._drop_drafts)
        try:
            roll_forward(self._store, dataset.journal_of(name))
            self._drop_drafts()
            self._former, self._version = dataset.read_partition(partition)
            self._old.manifest = self._former
            for spec in self._specs:
                self._open(spec, name)
        except BaseException:
            self.close()
            raise

    def _drafts(self) -> Path:
        """Makes the folder of the drafts: where they can be moved from, or one of this machine that goes at the end."""
        if isinstance(self._store.plain, LocalStore):
            folder = self._store.plain.root / WORK / self._name
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="aurora-drafts-")))

    def _open(self, spec: TableSpec, name: str) -> None:
        keep = self._keeps_others(spec.name)
        if keep:
            require_version(self._former, spec.name, self._dataset.version)
        by_sequence = ("ledger_sequence", self._chunk.first, self._chunk.last)
        draft = self._folder / spec.name
        shapes = (
            (f"{spec.name}/{name}/{PART}", "", spec.schema, spec.row_group_rows, ledger_bounds(spec.name, self._chunk)),
            (f"{COUNTS}/{name}/{spec.name}.parquet", ".counts", COUNTS_SCHEMA, _COUNT_ROWS, by_sequence),
            (f"{QUARANTINE}/{name}/{spec.name}.parquet", ".bad", QUARANTINE_SCHEMA, _QUARANTINE_ROWS, by_sequence),
        )
        data, counts, bad = (
            _Output(self._old, path, Path(f"{draft}{end}.draft"), *shape) for path, end, *shape in shapes
        )
        for output in (data, counts, bad):
            self._stack.callback(output.abandon)
            output.begin(keep=keep)
        self._outputs[spec.name] = (data, counts, bad)

    def _keeps_others(self, table: str) -> bool:
        held = self._former.tables.get(table)
        spans = () if held is None else held.ledgers
        return any(first < self._chunk.first or last > self._chunk.last for first, last, _ in spans)

    def write(self, unit: LedgerUnit) -> None:
        """Appends the rows of the chunk's next slice.

        Raises:
            StateError: rows got lost on their way.
        """
        for spec in self._specs:
            data, counts, bad = self._outputs[spec.name]
            batch = unit.tables[spec.name]
            data.write(batch)
            counts.write(ledger_counts(unit, spec))
            refused = quarantined_records(unit, spec.name)
            bad.write(quarantine_batch(refused))
            self._rows[spec.name] += batch.num_rows
            self._quarantined[spec.name] += len(refused)

    def publish(self, *, mended: bool = False) -> dict[str, int]:
        """Puts the new files in the place of the old ones.

        From the moment that the journal is there a crash leaves work that the next run finishes; before, it leaves
        the old files.

        Args:
            mended: the chunk was there and only rows that it lacked were added; what it came from stays the same.

        Returns:
            the chunk's rows by table, with those in quarantine.

        Raises:
            WriteConflictError: another writer published the partition since this one began; nothing is changed.
        """
        run = uuid.uuid4().hex
        moves: list[Move] = []
        removed: list[tuple[str, str]] = []
        tables = dict(self._former.tables)
        for name, (data, counts, bad) in self._outputs.items():
            parts = [(output, output.end()) for output in (data, counts, bad)]
            if parts[-1][1].rows == 0:
                removed.append((bad.path, ABSENT))
                bad.draft.unlink()
                parts.pop()
            moves += [Move(self._staged(run, output.draft), part.path, part.sha256) for output, part in parts]
            tables[name] = TableInPartition(
                ledgers=tables[name].ledgers if mended else self._covered(name),
                version=self._dataset.version,
                quarantined=sum(part.rows for _, part in parts[2:]),
                files=tuple(part for _, part in parts),
            )
        publication = Publication(
            what=f"partition {self._partition} of {self._store.url}",
            run=run,
            moves=tuple(moves),
            removed=tuple(removed),
            manifest=self._dataset.manifest_of(self._partition),
            manifest_version=self._version,
            text=replace(self._former, tables=dict(sorted(tables.items()))).to_bytes().decode(),
        )
        drafts = {self._staged(run, file): file for file in self._folder.glob("*.draft")}
        publish(self._store, self._dataset.journal_of(self._name), publication, drafts)
        self.close()
        return {**self._rows, QUARANTINE: sum(self._quarantined.values())}

    def _staged(self, run: str, draft: Path) -> str:
        """Path of a draft in the store; in a bucket every writer has its own."""
        return f"{WORK}/{self._name}/{draft.name if self._store.local else f'{run}/{draft.name}'}"

    def _covered(self, table: str) -> tuple[tuple[int, int, str], ...]:
        held = self._former.tables.get(table)
        spans = [(self._chunk.first, self._chunk.last, self._dataset.source)]
        for first, last, source in () if held is None else held.ledgers:
            if first < self._chunk.first:
                spans.append((first, min(last, self._chunk.first - 1), source))
            if last > self._chunk.last:
                spans.append((max(first, self._chunk.last + 1), last, source))
        return joined_spans(spans)

    def _drop_drafts(self) -> None:
        """Removes the drafts that no journal names; a journal's are left for whoever finishes it."""
        if not (self._folder / "ready.json").exists():
            for left in [*self._folder.glob("*.draft"), *self._folder.glob("*.former")]:
                left.unlink()

    def close(self) -> None:
        """Gives up the drafts that were not published, and the lock."""
        self._stack.close()
