"""A storage that is asked with patience, and what is done with several of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import NotThereError
from aurora_ingest.object_store.store import ObjectStore, open_store, patiently

_PIECE: Final = 32 << 20
_THREADS: Final = 8
_T = TypeVar("_T")


@lru_cache(maxsize=64)
def patient_store(url: str, what: str) -> PatientStore:
    """The storage of an address, asked with the usual patience; one per process and address.

    Args:
        url: as `open_store` takes it.
        what: what lies there, for messages.

    Raises:
        UsageError: an unknown scheme, or an address without what it needs.
    """
    policy = RetryPolicy()
    return PatientStore(open_store(url, policy, what), policy)


class PatientStore:
    """A storage whose faults that pass are waited for; what remains is a `BackendError` that names file and place.

    Its methods are those of `ObjectStore`.
    """

    def __init__(self, store: ObjectStore, policy: RetryPolicy) -> None:
        """Takes a storage."""
        self.plain = store
        self.url = store.url
        self.local = store.local
        self._policy = policy

    def get(self, path: str) -> bytes:
        """A whole file; see `ObjectStore.get`."""
        return self._ask(path, lambda: self.plain.get(path))

    def get_version(self, path: str) -> tuple[bytes, str]:
        """A whole file and its version; see `ObjectStore.get_version`."""
        return self._ask(path, lambda: self.plain.get_version(path))

    def get_part(self, path: str, start: int, length: int | None) -> bytes:
        """Bytes of a file; see `ObjectStore.get_part`."""
        return self._ask(path, lambda: self.plain.get_part(path, start, length))

    def size(self, path: str) -> int | None:
        """Bytes of a file; see `ObjectStore.size`."""
        return self._ask(path, lambda: self.plain.size(path))

    def version(self, path: str) -> str:
        """The version of a file; see `ObjectStore.version`."""
        return self._ask(path, lambda: self.plain.version(path))

    def names(self, folder: str) -> list[str]:
        """Names of the files in one folder; see `ObjectStore.names`."""
        return self._ask(folder, lambda: list(self.plain.names(folder)))

    def folders(self, parent: str = "") -> list[str]:
        """Names of the folders in the root or another; see `ObjectStore.folders`."""
        return self._ask(parent, lambda: self.plain.folders(parent))

    def walk(self, folder: str) -> list[str]:
        """Paths of all files below a folder; see `ObjectStore.walk`."""
        return self._ask(folder, lambda: self.plain.walk(folder))

    def put_new(self, path: str, data: bytes) -> bool:
        """Writes a file if there is none; see `ObjectStore.put_new`."""
        return self._ask(path, lambda: self.plain.put_new(path, data, {}))

    def put(self, path: str, data: bytes | memoryview | Path, version: str | None = None) -> bool:
        """Writes a file; see `ObjectStore.put`."""
        return self._ask(path, lambda: self.plain.put(path, data, version))

    def delete(self, path: str, version: str | None = None) -> None:
        """Removes a file; see `ObjectStore.delete`."""
        self._ask(path, lambda: self.plain.delete(path, version))

    def get_all(self, paths: Sequence[str]) -> list[bytes]:
        """Whole files in the order of their paths; from a network, some at a time.

        Raises:
            NotThereError: one of them is not there.
            BackendError: the storage refused, or did not answer.
        """
        if self.local or len(paths) < _THREADS:
            return [self.get(path) for path in paths]
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(self.get, paths))

    def fetch(self, path: str, target: Path) -> str:
        """Copies a file to this machine piece by piece and returns the hex SHA-256 of what came.

        Raises:
            NotThereError: there is no such file.
            BackendError: the storage refused, or did not answer.
        """
        size = self.size(path)
        if size is None:
            raise NotThereError("no such file")
        digest = hashlib.sha256()
        with target.open("wb") as stream:
            for start in range(0, size, _PIECE):
                piece = self.get_part(path, start, min(_PIECE, size - start))
                digest.update(piece)
                stream.write(piece)
        return digest.hexdigest()

    def delete_all(self, folder: str) -> None:
        """Removes every file below a folder.

        Args:
            folder: relative to the address, with its slash at the end.

        Raises:
            BackendError: the storage refused, or did not answer.
        """
        for path in self.walk(folder):
            self.delete(path)

    def _ask(self, path: str, use: Callable[[], _T]) -> _T:
        return patiently(self._policy, self.url, path or "the folder", use)
