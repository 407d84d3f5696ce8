"""Parquet datasets of one checkpoint: the same bytes on any engine, and never seen half written."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from aurora_ingest.errors import UnfinishedBuildError, WriteConflictError
from aurora_ingest.object_store.local_store import LocalStore
from aurora_ingest.object_store.patient_store import PatientStore, patient_store
from aurora_ingest.object_store.publication import Move, Publication, publish
from aurora_ingest.object_store.store import ABSENT
from aurora_ingest.transforms.ledger_unit import LedgerUnit, ParquetPart, Receipt

ROW_GROUP_ROWS = 65_536
_STAGING_PREFIX = ".build-"
_NO_DICTIONARY_ABOVE = 0.5


@dataclass(frozen=True)
class ParquetDataset:
    """The datasets below one folder or address in a bucket, for one checkpoint and one build.

    Published files stand at ``<root>/<table>/checkpoint=<seq>/part-NNNNN.parquet`` with a manifest at
    ``<root>/manifests/checkpoint=<seq>.json``; until then they stand below ``<root>/.build-<id>/``.

    In a bucket files are copied into place one by one, under a journal; what is exact at any moment is the manifest,
    which tells every file's hash.

    Attributes:
        root: folder, or address in a bucket.
        build_id: hex name of the build.
        checkpoint: ledger of the state.
    """

    root: str
    build_id: str
    checkpoint: int

    @property
    def store(self) -> PatientStore:
        """Where the files are."""
        return patient_store(self.root, "Parquet")

    @property
    def staging(self) -> str:
        """Folder of the unpublished files, relative to the root."""
        return f"{_STAGING_PREFIX}{self.build_id[:12]}"

    @property
    def manifest(self) -> str:
        """Path of the manifest of this checkpoint."""
        return f"manifests/checkpoint={self.checkpoint}.json"

    def table_folder(self, table: str) -> str:
        """Published folder of one table, relative to the root."""
        return f"{table}/checkpoint={self.checkpoint}"

    def open(self, *, resume: bool, abandon: bool) -> dict[tuple[str, int], Receipt]:
        """Start or continue this build in the folder.

        Args:
            resume: take up what a former run of the same build has finished.
            abandon: remove every unfinished build of this folder first.

        Returns:
            Receipts of the finished units whose files are all there.

        Raises:
            UnfinishedBuildError: an unfinished build is there and neither flag was given, or ``resume`` was given
                for another build than the one found.
        """
        for other in self.store.folders():
            if not other.startswith(_STAGING_PREFIX):
                continue
            if abandon:
                self._drop(other)
            elif not (resume and other == self.staging):
                message = (
                    f"{self.store.url}: unfinished build {other.removeprefix(_STAGING_PREFIX)} is there, "
                    f"this run would be {self.build_id[:12]}; continue the same build with --resume, "
                    "or drop it with --abandon"
                )
                raise UnfinishedBuildError(message)
        self.store.put(f"{self.staging}/open", b"")
        receipts = f"{self.staging}/receipts/"
        paths = [f"{receipts}{name}" for name in self.store.names(receipts) if name.endswith(".json")]
        stored = [Receipt.from_json(json.loads(data)) for data in self.store.get_all(paths)]
        return {(r.kind, r.index): r for r in stored if self.has_parts(r)}

    def has_parts(self, receipt: Receipt) -> bool:
        """Tell whether every staged file of a receipt is there with its size."""
        return all(self.store.size(f"{self.staging}/{part.table}/{part.name}") == part.bytes for part in receipt.parts)

    def write_unit(self, unit: LedgerUnit) -> LedgerUnit:
        """Write a unit's tables as one file each and note them in its receipt.

        Every table has a file for unit 0, even an empty one, so that a reader finds its schema; other units leave
        out empty tables.
        """
        parts = []
        for table, batch in unit.row_tables.items():
            if batch.num_rows == 0 and unit.index != 0:
                continue
            name = f"part-{unit.index:05d}.parquet"
            data = _encoded(batch)
            self.store.put(f"{self.staging}/{table}/{name}", memoryview(data))
            parts.append(ParquetPart(table, name, batch.num_rows, data.size, hashlib.sha256(data).hexdigest()))
        rows = {table: batch.num_rows for table, batch in unit.row_tables.items()}
        written = unit.with_receipt(parts=tuple(parts), rows=rows)
        receipt = json.dumps(written.receipt.to_json(), sort_keys=True).encode()
        self.store.put(f"{self.staging}/receipts/{unit.kind}-{unit.index:05d}.json", receipt)
        return written

    def publish(self, tables: Iterable[str], receipts: Iterable[Receipt], facts: Mapping[str, str | int]) -> None:
        """Make the build's files the datasets of this checkpoint, manifest last; running it again changes nothing.

        Args:
            tables: every table of the build.
            receipts: the receipts of all units.
            facts: what the manifest says of the whole (network, ledger hash, versions).

        Raises:
            WriteConflictError: another build of this checkpoint was published meanwhile, in a bucket.
        """
        parts: dict[str, list[ParquetPart]] = {table: [] for table in tables}
        for receipt in receipts:
            for part in receipt.parts:
                parts[part.table].append(part)
        manifest = {
            **facts,
            "checkpoint": self.checkpoint,
            "pyarrow": pa.__version__,
            "tables": {
                table: {
                    "rows": sum(part.rows for part in some),
                    "files": [
                        {"name": part.name, "rows": part.rows, "bytes": part.bytes, "sha256": part.sha256}
                        for part in sorted(some, key=lambda part: part.name)
                    ],
                }
                for table, some in sorted(parts.items())
            },
        }
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        if self.store.local:
            for table in parts:
                self._swap_in(table)
            self.store.put(self.manifest, text.encode())
        else:
            self._publish_in_bucket(parts, text)
        self._drop(self.staging)

    def _publish_in_bucket(self, parts: Mapping[str, Sequence[ParquetPart]], text: str) -> None:
        """Put the staged files in place under a journal, then the manifest, then remove what is not in it."""
        held, version = self.store.get_version(self.manifest)
        if held == text.encode() and not self.store.walk(f"{self.staging}/receipts/"):
            return  # a former attempt has done it all
        moves = tuple(
            Move(f"{self.staging}/{table}/{part.name}", f"{self.table_folder(table)}/{part.name}", part.sha256)
            for table, some in sorted(parts.items())
            for part in some
        )
        places = {move.path for move in moves}
        old = [path for table in parts for path in self.store.walk(f"{self.table_folder(table)}/")]
        publication = Publication(
            what=f"checkpoint {self.checkpoint} of {self.store.url}",
            run=uuid.uuid4().hex,
            moves=moves,
            removed=tuple((path, ABSENT) for path in old if path not in places),
            manifest=self.manifest,
            manifest_version=version,
            text=text,
        )
        try:
            publish(self.store, f".publishing/checkpoint={self.checkpoint}.json", publication, {})
        except WriteConflictError:
            # Another attempt of this very build is no conflict.
            if self.store.get_version(self.manifest)[0] != text.encode():
                raise

    def _drop(self, staging: str) -> None:
        """Remove an unpublished build."""
        if isinstance(self.store.plain, LocalStore):
            shutil.rmtree(self.store.plain.root / staging, ignore_errors=True)
        else:
            self.store.delete_all(f"{staging}/")

    def _swap_in(self, table: str) -> None:
        """Put the staged folder of a table in the place of the published one, never both side by side."""
        assert isinstance(self.store.plain, LocalStore)
        root = self.store.plain.root
        staged, published = root / self.staging / table, root / self.table_folder(table)
        if not staged.is_dir():
            return
        published.parent.mkdir(parents=True, exist_ok=True)
        if published.exists():
            replaced = root / self.staging / f"{table}.replaced"
            shutil.rmtree(replaced, ignore_errors=True)
            published.rename(replaced)
        staged.rename(published)


def parquet_bytes(batch: pa.RecordBatch) -> bytes:
    """Encode one batch as a Parquet file: zstd, row groups of 65,536 rows, equal bytes for equal rows."""
    return _encoded(batch).to_pybytes()


def _encoded(batch: pa.RecordBatch) -> pa.Buffer:
    table = pa.Table.from_batches([batch]).combine_chunks()
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=dictionary_columns(batch),
        write_statistics=statistics_columns(batch.schema),
        store_schema=True,
    ) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
    return sink.getvalue()


def statistics_columns(schema: pa.Schema) -> list[str]:
    """Choose the columns whose least and greatest values are noted: the first, which leads the order, and numbers.

    Rows stand in the order of their keys, so that the other texts run from end to end in every row group: their bounds
    would tell a reader nothing, and finding them takes a twelfth of the encoding.
    """
    texts = (pa.types.is_string, pa.types.is_binary, pa.types.is_fixed_size_binary)
    return [
        field.name
        for place, field in enumerate(schema)
        if place == 0 or not any(is_text(field.type) for is_text in texts)
    ]


def dictionary_columns(batch: pa.RecordBatch) -> list[str]:
    """Choose the columns worth a dictionary: those whose first thousand values repeat.

    The choice depends on the rows alone. Keys and hashes, which never repeat, are the bulk of a state table and
    would fill a dictionary in vain.
    """
    head = batch.slice(0, 1000)
    return [
        name
        for name, column in zip(head.schema.names, head.columns, strict=True)
        if len(column) and len(column.unique()) <= _NO_DICTIONARY_ABOVE * len(column)
    ]


class _WriteUnitFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Writing of one unit."""

    def __init__(self, dataset: ParquetDataset) -> None:
        self._dataset = dataset

    def process(self, unit: LedgerUnit) -> Iterator[LedgerUnit]:
        yield unit if unit.done else self._dataset.write_unit(unit)


class WriteToParquet(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """LedgerUnits → the same LedgerUnits, their tables written as staged Parquet files named in their receipts.

    Bounded, any order, fully parallel. A unit written twice replaces its files by equal bytes. Nothing is visible
    below a table's folder before the build is published. Fails when the disk does.
    """

    def __init__(self, dataset: ParquetDataset) -> None:
        """Keep the dataset."""
        super().__init__()
        self._dataset = dataset

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[LedgerUnit]:
        """Wire the ParDo."""
        return units | beam.ParDo(_WriteUnitFn(self._dataset)).with_output_types(LedgerUnit)
