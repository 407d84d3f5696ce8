"""What a data lake says of itself and which of its files are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from typing import Final

from aurora_ingest.errors import BackendError, LakeConflictError, MissingLedgersError, NetworkMismatchError
from aurora_ingest.history_archive.storage import NotThereError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import FIRST_CLOSED_LEDGER, BackendOptions, holes, missing
from aurora_ingest.ledger_backend.lake_layout import (
    MANIFEST,
    LakeFile,
    LakeLayout,
    Manifest,
    infer_layout,
    is_ledger_file,
    is_partition,
)
from aurora_ingest.network import Network
from aurora_ingest.object_store.store import ObjectStore, patiently

_SAMPLE: Final = 1000
"""File names that are looked at to learn how a lake names its files."""


class LakeIndex:
    """A lake's manifest, layout and listing.

    Args:
        storage: where it lies.
        network: the network that it must be of.
        options: the retry budget, and the layout where there is no manifest.
    """

    def __init__(self, storage: ObjectStore, network: Network, options: BackendOptions) -> None:
        self.storage = storage
        self.network = network
        self._options = options

    # --- What it says of itself ---------------------------------------------------------------------------------------
    @cached_property
    def manifest(self) -> Manifest | None:
        """The manifest, of the right network; None if there is none.

        Raises:
            NetworkMismatchError: the lake is of another network.
            LakeConflictError: the manifest cannot be read.
            BackendError: the storage does not give it.
        """
        url = f"{self.storage.url}/{MANIFEST}"
        try:
            data = patiently(self._options.retry, self.storage.url, MANIFEST, partial(self.storage.get, MANIFEST))
        except NotThereError:
            return None
        manifest = Manifest.parse(data, url)
        if manifest.passphrase is not None and manifest.passphrase != self.network.passphrase:
            raise NetworkMismatchError(
                f"{url}: the data lake is of network {manifest.passphrase!r}, expected {self.network.passphrase!r}"
            )
        return manifest

    @cached_property
    def layout(self) -> LakeLayout:
        """How the files are named: by the manifest and the options, else by the names that are there.

        Raises:
            LakeConflictError: these contradict each other.
            NetworkMismatchError: the lake is of another network.
            BackendError: there is no lake, or the storage does not answer.
        """
        stated = self._stated()
        folders = self._folders()
        sample = self._sample(folders)
        inferred = infer_layout(folders, sample, self.storage.url)
        if stated is None and inferred is None:
            example = LakeLayout().file_of(FIRST_CLOSED_LEDGER).path
            raise BackendError(
                f"there is no data lake at {self.storage.url}: neither {MANIFEST} nor files such as {example}"
            )
        if stated is None or inferred is None:
            return stated or inferred or LakeLayout()
        layout = replace(stated, extension=inferred.extension, partitions_from=inferred.partitions_from)
        for path in sample:
            layout.parse(path)  # raises at a name of another layout
        return layout

    def exists(self) -> bool:
        """Whether there is a lake: a manifest, or a file of ledgers. Raises as `layout`."""
        return self.manifest is not None or bool(self._sample(self._folders()))

    @property
    def base(self) -> str:
        """The folder, with its slash, below the lake's address in which the ledgers lie; mostly empty."""
        path = self.manifest.ledgers_path if self.manifest is not None else ""
        return f"{path}/" if path else ""

    def _stated(self) -> LakeLayout | None:
        per_file, per_partition = self._options.ledgers_per_file, self._options.files_per_partition
        stated = self.manifest.layout if self.manifest is not None else None
        if per_file is None and per_partition is None:
            return stated
        layout = stated or LakeLayout()
        wanted = LakeLayout(per_file or layout.ledgers_per_file, per_partition or layout.files_per_partition)
        if stated is not None and wanted != stated:
            raise LakeConflictError(f"{self.storage.url}/{MANIFEST}: the lake has {stated}, not {wanted}")
        return wanted

    def _sample(self, folders: list[str]) -> list[str]:
        """Some files of the newest partition, or of the root where there are no partitions."""
        for folder in [f"{name}/" for name in folders] or [""]:
            files = [folder + name for name in self._names(folder, most=_SAMPLE)]
            if files:
                return files
        return []

    # --- What is there ------------------------------------------------------------------------------------------------
    def files(self, ledgers: LedgerRange) -> Iterator[LakeFile]:
        """The files that are there of those that hold the range, ascending; one listing per partition.

        Raises:
            LakeConflictError: a file's name belongs to another layout.
            BackendError: the storage does not answer.
        """
        layout = self.layout
        newest_given = -1
        for part in ledgers.chunks(layout.partition_ledgers):
            found: dict[int, LakeFile] = {}
            oldest, newest = layout.file_of(part.first), layout.file_of(part.last)
            folder = layout.folder_of(part.last)
            # Names ascend from the newest ledger to the oldest.
            first = newest.path[len(folder) :]
            last = max(each.path[len(folder) :] for each in layout.names_of(oldest))
            first = min(first, *(each.path[len(folder) :] for each in layout.names_of(newest)))
            for name in self._names(folder, first, last):
                file = layout.parse(folder + name)
                if file is not None:
                    found.setdefault(file.last, file)
            yield from (found[last] for last in sorted(found) if last > newest_given)
            newest_given = max(newest_given, *found) if found else newest_given

    def holes(self, ledgers: LedgerRange) -> list[LedgerRange]:
        """The ledgers of the range that no file holds, as ascending ranges. Raises as `files`."""
        return holes(ledgers, (ledger for file in self.files(ledgers) for ledger in file.ledgers))

    def missing(self, ranges: list[LedgerRange]) -> MissingLedgersError:
        """The error that names the holes and what the lake has. Raises as `files`."""
        there = self.extent()
        has = f"; it has ledgers {there}" if there else "; it is empty"
        return missing(f"data lake {self.storage.url}", ranges, has)

    def newest(self) -> int | None:
        """The highest ledger, or None if the lake is empty. Raises as `files`."""
        for folder in self._partitions():
            for name in self._names(folder, most=1):
                return self._file(folder + name).ledgers.last
        return None

    def extent(self) -> LedgerRange | None:
        """From the lowest to the highest ledger; None if the lake is empty. Raises as `files`."""
        newest = self.newest()
        for folder in reversed(self._partitions()):
            names = self._names(folder)
            if names and newest is not None:
                return LedgerRange(self._file(folder + names[-1]).ledgers.first, newest)
        return None

    def fetch(self, file: LakeFile) -> bytes:
        """The bytes of a file, under whichever of its names it is there.

        Raises:
            MissingLedgersError: it is not there.
            BackendError: the storage does not give it.
        """
        for each in self.layout.names_of(file):
            path = self.base + each.path
            try:
                return patiently(self._options.retry, self.storage.url, path, partial(self.storage.get, path))
            except NotThereError:
                continue
        raise missing(f"{self.storage.url}/{self.base}{file.path}", [file.ledgers])

    def _file(self, path: str) -> LakeFile:
        file = self.layout.parse(path)
        assert file is not None  # `_names` gives only files of ledgers
        return file

    def _partitions(self) -> list[str]:
        """The partition folders with their slashes, newest first; the root where there are none."""
        return [f"{name}/" for name in self._folders()] if self.layout.files_per_partition > 1 else [""]

    def _folders(self) -> list[str]:
        found = patiently(
            self._options.retry, self.storage.url, "its folders", partial(self.storage.folders, self.base)
        )
        return [name for name in found if is_partition(name)]

    def _names(self, folder: str, first: str = "", last: str | None = None, most: int | None = None) -> list[str]:
        def listed() -> list[str]:
            return list(islice(self._ledger_files(folder, first, last), most))

        return patiently(self._options.retry, self.storage.url, f"listing of {folder or 'the root'}", listed)

    def _ledger_files(self, folder: str, first: str, last: str | None) -> Iterator[str]:
        return filter(is_ledger_file, self.storage.names(self.base + folder, first, last))
