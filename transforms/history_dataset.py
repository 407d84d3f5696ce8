"""Layout and manifests of a Parquet history: one partition per absolute run of ledgers, one file per table in it."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.db.history import covers
from aurora_ingest.errors import DatabaseError, NetworkMismatchError, UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.object_store.patient_store import PatientStore, patient_store
from aurora_ingest.object_store.publication import roll_forward
from aurora_ingest.object_store.store import folder_of_url

COUNTS: Final = "ingest_ledger_counts"
QUARANTINE: Final = "ingest_quarantine"
PART: Final = "part-00000.parquet"
WORK: Final = ".history"
LAYOUT: Final = f"{WORK}/layout.json"
MANIFEST: Final = "manifests/history.json"
MANIFESTS: Final = "manifests/history/"


@dataclass(frozen=True)
class PartFile:
    """One published file: its path below the dataset's folder, rows, bytes and hex SHA-256."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class TableInPartition:
    """What one partition holds of one table.

    Attributes:
        ledgers: (first, last, source) of the ledgers whose rows are there, ascending, joined where they meet.
        version: version of the rules that made the rows.
        quarantined: records in quarantine.
        files: the table's file, the counts of its ledgers, and its quarantine if there is any.
    """

    ledgers: tuple[tuple[int, int, str], ...]
    version: int
    quarantined: int
    files: tuple[PartFile, ...]


@dataclass(frozen=True)
class PartitionManifest:
    """What one partition holds, by table."""

    first: int
    last: int
    network: str
    tables: Mapping[str, TableInPartition] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the manifest as JSON; equal manifests have equal bytes."""
        return _json({**dataclasses.asdict(self), "pyarrow": pa.__version__})

    @classmethod
    def from_bytes(cls, data: bytes) -> PartitionManifest:
        """Read what ``to_bytes`` gave."""
        values = json.loads(data)
        tables = {
            name: TableInPartition(
                ledgers=tuple((first, last, source) for first, last, source in each["ledgers"]),
                version=each["version"],
                quarantined=each["quarantined"],
                files=tuple(PartFile(**file) for file in each["files"]),
            )
            for name, each in values["tables"].items()
        }
        return cls(values["first"], values["last"], values["network"], tables)


@dataclass(frozen=True)
class HistoryDataset:
    """A Parquet history in a folder or a bucket.

    Files stand at ``<root>/<table>/ledgers=<first>-<last>/part-00000.parquet`` with the bounds of the partition,
    whatever ledgers of it are there; counts and quarantine of a table at ``<root>/ingest_ledger_counts/ledgers=…/
    <table>.parquet``. ``<root>/manifests/history/`` has a manifest per partition, ``<root>/manifests/history.json``
    the whole. ``<root>/.history/`` holds journals, drafts and, on a disk, locks.

    Attributes:
        root: folder, or address in a bucket.
        network: passphrase.
        partition_ledgers: ledgers per partition.
        version: version of the rules that make the rows.
        source: kind of the place that the ledgers come from.
    """

    root: str
    network: str
    partition_ledgers: int
    version: int
    source: str

    @property
    def store(self) -> PatientStore:
        """Where the files are."""
        return patient_store(self.root, "Parquet")

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keep other writers of this machine out while the block runs; in a bucket versions do what locks do here.

        Args:
            name: of a partition, or empty for the whole.
        """
        if not self.store.local:
            yield
            return
        path = folder_of_url(self.root) / WORK / name / "lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def journal_of(self, name: str) -> str:
        """Return the path of the journal of a partition."""
        return f"{WORK}/{name}/ready.json"

    def partition_of(self, chunk: LedgerRange) -> LedgerRange:
        """Return the partition that a chunk lies in.

        Raises:
            UsageError: it lies in two.
        """
        first = chunk.first // self.partition_ledgers * self.partition_ledgers
        partition = LedgerRange(max(first, 1), first + self.partition_ledgers - 1)
        if chunk.last > partition.last:
            message = f"chunk {chunk} lies in two partitions of {self.partition_ledgers} ledgers"
            raise UsageError(message)
        return partition

    def name_of(self, partition: LedgerRange) -> str:
        """Return the name of a partition's folder; the first one is named from ledger 0 on, as the grid is."""
        first = partition.first // self.partition_ledgers * self.partition_ledgers
        return f"ledgers={first}-{partition.last}"

    def manifest_of(self, partition: LedgerRange) -> str:
        """Return the path of the manifest of a partition."""
        return f"{MANIFESTS}{self.name_of(partition)}.json"

    def read_partition(self, partition: LedgerRange) -> tuple[PartitionManifest, str]:
        """Return what a partition holds, and its manifest's version; an empty manifest if it is not there."""
        data, version = self.store.get_version(self.manifest_of(partition))
        if not data:
            return PartitionManifest(partition.first, partition.last, self.network), version
        return PartitionManifest.from_bytes(data), version

    def check(self) -> None:
        """Refuse a folder of another network or partition size.

        Raises:
            NetworkMismatchError: the folder holds another network.
            UsageError: its partitions have another size.
        """
        data, _ = self.store.get_version(LAYOUT)
        if not data:
            return
        found = json.loads(data)
        if found["network"] != self.network:
            message = f"{self.root} holds the network {found['network']!r}, not {self.network!r}; use another folder"
            raise NetworkMismatchError(message)
        if found["partition_ledgers"] != self.partition_ledgers:
            message = (
                f"{self.root} has partitions of {found['partition_ledgers']} ledgers, not {self.partition_ledgers}: "
                f"give --chunk-ledgers {found['partition_ledgers']}, or use another folder"
            )
            raise UsageError(message)

    def open(self) -> None:
        """Make the folder; on a disk, finish what a crash left half published (in a bucket the next writer does).

        Raises:
            NetworkMismatchError: the folder holds another network.
            UsageError: its partitions have another size.
        """
        self.store.put_new(LAYOUT, _json({"network": self.network, "partition_ledgers": self.partition_ledgers}))
        self.check()
        if self.store.local:
            for name in self.store.folders(f"{WORK}/"):
                if self.store.size(self.journal_of(name)) is not None:
                    with self.locked(name):
                        roll_forward(self.store, self.journal_of(name))

    def unwritten(self, chunks: Iterable[LedgerRange], tables: Iterable[str]) -> tuple[LedgerRange, ...]:
        """Return the chunks of which a ledger or table was never written from such a source by these rules.

        On a disk the files are looked for too; in a bucket the manifests are believed.
        """
        names = tuple(tables)
        held = self._partitions()
        return tuple(chunk for chunk in chunks if not self._is_written(held, chunk, names))

    def _partitions(self) -> dict[str, PartitionManifest]:
        names = [name for name in self.store.names(MANIFESTS) if name.startswith("ledgers=")]
        found = self.store.get_all([f"{MANIFESTS}{name}" for name in names])
        return {name: PartitionManifest.from_bytes(data) for name, data in zip(names, found, strict=True)}

    def _is_written(
        self, manifests: Mapping[str, PartitionManifest], chunk: LedgerRange, tables: Sequence[str]
    ) -> bool:
        manifest = manifests.get(f"{self.name_of(self.partition_of(chunk))}.json")
        held = {} if manifest is None else manifest.tables
        return all(
            name in held
            and held[name].version == self.version
            and (not self.store.local or all(self.store.size(file.path) is not None for file in held[name].files))
            and covers([(first, last) for first, last, source in held[name].ledgers if source == self.source], chunk)
            for name in tables
        )

    def publish_manifest(self) -> None:
        """Write the manifest of the whole dataset from those of its partitions, atomically."""
        with self.locked(""):
            while True:
                _, version = self.store.get_version(MANIFEST)
                if self.store.put(MANIFEST, self._whole(), version):
                    return

    def _whole(self) -> bytes:
        """Return the manifest of the whole dataset as it is now."""
        paths = [f"{MANIFESTS}{name}" for name in self.store.names(MANIFESTS) if name.startswith("ledgers=")]
        entries = [
            (PartitionManifest.from_bytes(data), path, hashlib.sha256(data).hexdigest())
            for path, data in zip(paths, self.store.get_all(paths), strict=True)
        ]
        entries.sort(key=lambda entry: entry[0].first)
        return _json(
            {
                "network": self.network,
                "partition_ledgers": self.partition_ledgers,
                "pyarrow": pa.__version__,
                "tables": _totals([manifest for manifest, _, _ in entries]),
                "partitions": [
                    {"first": manifest.first, "last": manifest.last, "manifest": path, "sha256": digest}
                    for manifest, path, digest in entries
                ],
            }
        )


def existing_dataset(root: str, network: str, source: str = "quarantine") -> HistoryDataset:
    """Return the dataset that a folder or a bucket holds.

    Args:
        root: folder, or address in a bucket.
        network: passphrase that the caller expects; ``check`` compares it.
        source: kind of the place that new ledgers come from.

    Raises:
        UsageError: there is no dataset.
    """
    store = patient_store(root, "Parquet")
    data, _ = store.get_version(LAYOUT)
    if not data:
        message = f"{store.url} holds no Parquet history: {store.url}/{LAYOUT} is not there"
        raise UsageError(message)
    return HistoryDataset(root, network, json.loads(data)["partition_ledgers"], CURRENT_VERSION, source)


def joined_spans(spans: Iterable[tuple[int, int, str]]) -> tuple[tuple[int, int, str], ...]:
    """Return ascending (first, last, source) with those of the same source that meet made one."""
    joined: list[tuple[int, int, str]] = []
    for first, last, source in sorted(spans):
        if joined and joined[-1][1] + 1 == first and joined[-1][2] == source:
            joined[-1] = (joined[-1][0], last, source)
        else:
            joined.append((first, last, source))
    return tuple(joined)


def _totals(manifests: Sequence[PartitionManifest]) -> dict[str, Any]:
    totals: dict[str, Any] = {}
    for name in sorted({name for manifest in manifests for name in manifest.tables}):
        held = [manifest.tables[name] for manifest in manifests if name in manifest.tables]
        totals[name] = {
            "ledgers": [span[:2] for span in joined_spans((a, b, "") for each in held for a, b, _ in each.ledgers)],
            "rows": sum(each.files[0].rows for each in held),
            "quarantined": sum(each.quarantined for each in held),
        }
    return totals


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def require_version(manifest: PartitionManifest, table: str, version: int) -> None:
    """Refuse to keep rows beside new ones that other rules made.

    Raises:
        DatabaseError: they are of another version.
    """
    held = manifest.tables.get(table)
    if held is not None and held.version != version:
        message = (
            f"table {table}, partition {manifest.first}-{manifest.last}: its rows are of version {held.version}, "
            f"this build makes {version}: rewrite all ledgers of the partition in one run"
        )
        raise DatabaseError(message)
