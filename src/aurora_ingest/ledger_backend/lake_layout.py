"""How a SEP-54 data lake names its files: partitions, reversed hexadecimal, ledgers per file, and its manifest."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from aurora_ingest.errors import LakeConflictError, UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import FIRST_CLOSED_LEDGER
from aurora_ingest.network import UINT32_MAX

MANIFEST: Final = ".config.json"
MANIFEST_VERSION: Final = "1.0"
COMPRESSION: Final = "zstd"
EXTENSION: Final = "zst"
OLD_EXTENSION: Final = "zstd"
"""How Galexie before v23 named its files."""

_PARTITION = re.compile(r"([0-9A-Fa-f]{8})--([0-9]+)-([0-9]+)")
_FILE = re.compile(r"([0-9A-Fa-f]{8})--([0-9]+)(?:-([0-9]+))?\.xdr\.(zst|zstd)")


@dataclass(frozen=True)
class LakeFile:
    """One file of a lake, as its name tells it.

    Attributes:
        path: relative to the lake, with slashes.
        first: the ledger it is named from; 0 in the first file of most lakes, although ledger 0 does not exist.
        last: the ledger it is named to.
    """

    path: str
    first: int
    last: int

    @property
    def ledgers(self) -> LedgerRange:
        """The ledgers that it must hold: those of its name that were ever closed; ledger 1 if there is no other."""
        first = max(self.first, FIRST_CLOSED_LEDGER) if self.last >= FIRST_CLOSED_LEDGER else 1
        return LedgerRange(first, max(first, self.last))


@dataclass(frozen=True)
class LakeLayout:
    """How many ledgers a file and how many files a partition hold.

    Attributes:
        ledgers_per_file: at least 1.
        files_per_partition: at least 1; with 1 there are no partition folders.
        extension: ending of the files, ``zst`` or ``zstd``; the content is the same.
        partitions_from: what the first partition folder is named from: 0 as Galexie does, or 2.
    """

    ledgers_per_file: int = 1
    files_per_partition: int = 64000
    extension: str = EXTENSION
    partitions_from: int = 0

    def __post_init__(self) -> None:
        """Refuses sizes below 1.

        Raises:
            UsageError: a size is below 1, or the ending is neither ``zst`` nor ``zstd``.
        """
        if self.ledgers_per_file < 1 or self.files_per_partition < 1:
            raise UsageError(f"a data lake with {self} cannot be: both numbers are at least 1")
        if self.extension not in {EXTENSION, OLD_EXTENSION}:
            raise UsageError(f"files of a data lake end in .{EXTENSION} or .{OLD_EXTENSION}, not .{self.extension}")

    def __str__(self) -> str:
        """The two numbers in words."""
        return f"{self.ledgers_per_file} ledgers per file and {self.files_per_partition} files per partition"

    @property
    def partition_ledgers(self) -> int:
        """Ledgers per partition folder."""
        return self.ledgers_per_file * self.files_per_partition

    def file_of(self, ledger: int) -> LakeFile:
        """The file that holds a ledger, by the name that Galexie gives it."""
        first = ledger // self.ledgers_per_file * self.ledgers_per_file
        return self._file(self.folder_of(ledger), first, first + self.ledgers_per_file - 1)

    def names_of(self, file: LakeFile) -> tuple[LakeFile, ...]:
        """The file under every name it may have: the first one may be named from 0 or from 2."""
        if file.first >= FIRST_CLOSED_LEDGER or file.last <= FIRST_CLOSED_LEDGER:
            return (file,)
        folder = self.folder_of(file.last)
        return tuple(self._file(folder, first, file.last) for first in (0, FIRST_CLOSED_LEDGER))

    def files(self, ledgers: LedgerRange) -> Iterator[LakeFile]:
        """The files that together hold a range, ascending."""
        for first in range(
            ledgers.first // self.ledgers_per_file * self.ledgers_per_file, ledgers.last + 1, self.ledgers_per_file
        ):
            yield self.file_of(first)

    def folder_of(self, ledger: int) -> str:
        """The partition folder of a ledger with its slash; empty if the lake has none."""
        if self.files_per_partition == 1:
            return ""
        first = ledger // self.partition_ledgers * self.partition_ledgers
        last = first + self.partition_ledgers - 1
        first = max(first, self.partitions_from)
        return f"{UINT32_MAX - first:08X}--{first}-{last}/"

    def parse(self, path: str) -> LakeFile | None:
        """The file that a path of this lake names; None if it is none of the lake's, such as the manifest.

        Raises:
            LakeConflictError: the path names a file of a lake with another layout.
        """
        match = _FILE.fullmatch(path.rpartition("/")[2])
        if match is None:
            return None
        expected = self.file_of(int(match[3] or match[2]))
        for each in self.names_of(expected):
            if each.path == path:
                return each
        raise LakeConflictError(f"{path}: not a file of a lake of {self}; ledger {expected.last} is in {expected.path}")

    def _file(self, folder: str, first: int, last: int) -> LakeFile:
        to = f"-{last}" if self.ledgers_per_file > 1 else ""
        return LakeFile(f"{folder}{UINT32_MAX - first:08X}--{first}{to}.xdr.{self.extension}", first, last)


@dataclass(frozen=True)
class Manifest:
    """What a lake says of itself.

    Attributes:
        passphrase: of its network; None if it does not say.
        layout: its sizes; the ending of the files is not in a manifest.
        ledgers_path: folder below the manifest's in which the ledgers lie, as SEP-54 has it; empty in Galexie's.
    """

    passphrase: str | None
    layout: LakeLayout
    ledgers_path: str = ""

    @staticmethod
    def parse(data: bytes, source: str) -> Manifest:
        """Reads a manifest as Galexie or SEP-54 writes it.

        Args:
            data: JSON.
            source: for messages.

        Raises:
            LakeConflictError: it cannot be read, or its compression is not zstd.
        """
        try:
            read: Any = json.loads(data)
            per_file, per_partition = read["ledgersPerBatch"], read["batchesPerPartition"]
            passphrase, compression = read.get("networkPassphrase"), read.get("compression", COMPRESSION)
            layout = LakeLayout(operator.index(per_file), operator.index(per_partition))
        except (ValueError, LookupError, TypeError, AttributeError, UsageError) as error:
            raise LakeConflictError(f"{source}: not the manifest of a data lake: {error!r}") from error
        if compression != COMPRESSION:
            raise LakeConflictError(f"{source}: the lake is compressed with {compression!r}, expected {COMPRESSION!r}")
        return Manifest(passphrase, layout, str(read.get("ledgersPath", "")).strip("/"))

    def render(self) -> bytes:
        """The manifest as Galexie writes it."""
        content = {
            "networkPassphrase": self.passphrase,
            "version": MANIFEST_VERSION,
            "compression": COMPRESSION,
            "ledgersPerBatch": self.layout.ledgers_per_file,
            "batchesPerPartition": self.layout.files_per_partition,
        }
        return json.dumps(content, indent=2).encode()


def infer_layout(folders: Iterable[str], paths: Iterable[str], source: str) -> LakeLayout | None:
    """The layout of a lake without a manifest, from the names in it.

    Args:
        folders: names in the lake's root, without slashes.
        paths: some of its files, relative to the root, those of one partition.
        source: for messages.

    Returns:
        None if no name is one of a data lake.

    Raises:
        LakeConflictError: the names fit no single layout.
    """
    spans = [(int(match[2]), int(match[3])) for match in map(_PARTITION.fullmatch, folders) if match]
    sizes = {last - _on_grid(first) + 1 for first, last in spans}
    files = [match for match in (_FILE.fullmatch(path.rpartition("/")[2]) for path in paths) if match]
    if not files:
        return None
    per_file = {_ledgers_of(match) for match in files}
    extensions = {match[4] for match in files}
    if len(per_file) > 1 or len(sizes) > 1 or len(extensions) > 1:
        raise LakeConflictError(f"{source}: the files' names fit no single layout; give the lake's numbers")
    ledgers = per_file.pop()
    partition = sizes.pop() if sizes else ledgers
    if partition % ledgers:
        raise LakeConflictError(f"{source}: partitions of {partition} ledgers do not hold whole files of {ledgers}")
    start = FIRST_CLOSED_LEDGER if any(first == FIRST_CLOSED_LEDGER for first, _ in spans) else 0
    return LakeLayout(ledgers, partition // ledgers, extensions.pop(), start)


def is_partition(folder: str) -> bool:
    """Whether that is the name of a partition folder."""
    return _PARTITION.fullmatch(folder) is not None


def is_ledger_file(name: str) -> bool:
    """Whether that is the name of a file of ledgers."""
    return _FILE.fullmatch(name) is not None


def _on_grid(first: int) -> int:
    """What a name counts from on the grid: the one from 2 stands for the one from 0."""
    return 0 if first == FIRST_CLOSED_LEDGER else first


def _ledgers_of(match: re.Match[str]) -> int:
    """How many ledgers a file name speaks of; without an end it is one."""
    return int(match[3]) - _on_grid(int(match[2])) + 1 if match[3] else 1
