"""Layout and manifests of a Parquet history: one partition per absolute run of ledgers, one file per table in it."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.db.history import covers
from aurora_ingest.errors import DatabaseError, NetworkMismatchError, UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange

COUNTS: Final = "ingest_ledger_counts"
QUARANTINE: Final = "ingest_quarantine"
PART: Final = "part-00000.parquet"


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
    """A folder with a Parquet history.

    Files stand at ``<root>/<table>/ledgers=<first>-<last>/part-00000.parquet`` with the bounds of the partition,
    whatever ledgers of it are there; counts and quarantine of a table at ``<root>/ingest_ledger_counts/ledgers=…/
    <table>.parquet``. ``<root>/manifests/history/`` has a manifest per partition, ``<root>/manifests/history.json``
    the whole. ``<root>/.history/`` holds drafts and locks.

    Attributes:
        root: local folder.
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
    def work(self) -> Path:
        """Folder of drafts and locks."""
        return Path(self.root) / ".history"

    @property
    def manifest_path(self) -> Path:
        """Where the manifest of the whole dataset stands."""
        return Path(self.root) / "manifests" / "history.json"

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

    def manifest_of(self, partition: LedgerRange) -> Path:
        """Return where the manifest of a partition stands."""
        return Path(self.root) / "manifests" / "history" / f"{self.name_of(partition)}.json"

    def read_partition(self, partition: LedgerRange) -> PartitionManifest:
        """Return what a partition holds; an empty manifest if it is not there."""
        path = self.manifest_of(partition)
        if not path.exists():
            return PartitionManifest(partition.first, partition.last, self.network)
        return PartitionManifest.from_bytes(path.read_bytes())

    def check(self) -> None:
        """Refuse a folder of another network or partition size.

        Raises:
            NetworkMismatchError: the folder holds another network.
            UsageError: its partitions have another size.
        """
        if not self.layout.exists():
            return
        found = json.loads(self.layout.read_bytes())
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
        """Make the folder, and finish what a crash left half published.

        Raises:
            NetworkMismatchError: the folder holds another network.
            UsageError: its partitions have another size.
        """
        with locked(self.work / "lock"):
            if not self.layout.exists():
                write_whole(self.layout, _json({"network": self.network, "partition_ledgers": self.partition_ledgers}))
        self.check()
        for ready in sorted(self.work.glob("ledgers=*/ready.json")):
            with locked(ready.with_name("lock")):
                roll_forward(Path(self.root), ready)

    @property
    def layout(self) -> Path:
        """Where network and partition size are noted."""
        return self.work / "layout.json"

    def unwritten(self, chunks: Iterable[LedgerRange], tables: Iterable[str]) -> tuple[LedgerRange, ...]:
        """Return the chunks of which a ledger or table was never written from such a source by these rules."""
        names = tuple(tables)
        return tuple(chunk for chunk in chunks if not self._is_written(chunk, names))

    def _is_written(self, chunk: LedgerRange, tables: Sequence[str]) -> bool:
        held = self.read_partition(self.partition_of(chunk)).tables
        return all(
            name in held
            and held[name].version == self.version
            and all((Path(self.root) / file.path).exists() for file in held[name].files)
            and covers([(first, last) for first, last, source in held[name].ledgers if source == self.source], chunk)
            for name in tables
        )

    def publish_manifest(self) -> None:
        """Write the manifest of the whole dataset from those of its partitions, atomically."""
        with locked(self.work / "lock"):
            entries = [
                (PartitionManifest.from_bytes(data), path, hashlib.sha256(data).hexdigest())
                for path in (Path(self.root) / "manifests" / "history").glob("ledgers=*.json")
                for data in [path.read_bytes()]
            ]
            entries.sort(key=lambda entry: entry[0].first)
            manifest = {
                "network": self.network,
                "partition_ledgers": self.partition_ledgers,
                "pyarrow": pa.__version__,
                "tables": _totals([manifest for manifest, _, _ in entries]),
                "partitions": [
                    {
                        "first": manifest.first,
                        "last": manifest.last,
                        "manifest": str(path.relative_to(self.root)),
                        "sha256": digest,
                    }
                    for manifest, path, digest in entries
                ],
            }
            write_whole(self.manifest_path, _json(manifest))


def existing_dataset(root: str, network: str, source: str = "quarantine") -> HistoryDataset:
    """Return the dataset that a folder holds.

    Args:
        root: local folder.
        network: passphrase that the caller expects; ``check`` compares it.
        source: kind of the place that new ledgers come from.

    Raises:
        UsageError: there is no dataset.
    """
    layout = HistoryDataset(root, network, 1, CURRENT_VERSION, source).layout
    if not layout.exists():
        message = f"{root} holds no Parquet history: {layout} is not there"
        raise UsageError(message)
    size = json.loads(layout.read_bytes())["partition_ledgers"]
    return HistoryDataset(root, network, size, CURRENT_VERSION, source)


def roll_forward(root: Path, ready: Path) -> None:
    """Carry out, or finish, the publishing that a journal describes; doing it again changes nothing.

    Args:
        root: the dataset's folder.
        ready: the journal: drafts with their places, files to remove, and the partition's manifest.
    """
    if not ready.exists():
        return
    journal = json.loads(ready.read_bytes())
    for draft, path in journal["files"]:
        staged = ready.with_name(draft)
        if staged.exists():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            put_in_place(staged, root / path)
    for path in journal["removed"]:
        (root / path).unlink(missing_ok=True)
    write_manifest(root / journal["manifest"], journal["text"].encode())
    ready.unlink()


def put_in_place(draft: Path, path: Path) -> None:
    """Make one draft the published file of its place, in one step."""
    draft.replace(path)


def write_manifest(path: Path, data: bytes) -> None:
    """Write the manifest of a partition, in one step."""
    write_whole(path, data)


def joined_spans(spans: Iterable[tuple[int, int, str]]) -> tuple[tuple[int, int, str], ...]:
    """Return ascending (first, last, source) with those of the same source that meet made one."""
    joined: list[tuple[int, int, str]] = []
    for first, last, source in sorted(spans):
        if joined and joined[-1][1] + 1 == first and joined[-1][2] == source:
            joined[-1] = (joined[-1][0], last, source)
        else:
            joined.append((first, last, source))
    return tuple(joined)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other threads and processes of this machine out while the block runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all, and survives a crash once it has appeared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    with draft.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


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
