"""Files that the workers of one build share: cut buckets and spilled partial rows, in a folder or a bucket."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurora_ingest.object_store.local_store import LocalStore
from aurora_ingest.object_store.patient_store import patient_store

if TYPE_CHECKING:
    from aurora_ingest.object_store.patient_store import PatientStore


@dataclass(frozen=True)
class WorkDir:
    """A folder for the intermediate files of one build; every file appears whole or not at all.

    Attributes:
        root: a local path, ``gs://bucket/prefix`` or ``s3://bucket/prefix``.
    """

    root: str

    @property
    def _store(self) -> PatientStore:
        return patient_store(self.root, "work directory")

    def write(self, name: str, data: bytes) -> None:
        """Write a file under ``name``, replacing an older one in one step.

        Raises:
            BackendError: the storage refused, or did not answer.
        """
        self._store.put(name, data)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Read a file, or ``length`` bytes of it from ``start``.

        Raises:
            NotThereError: there is no such file.
            BackendError: the storage refused, or did not answer.
        """
        return self._store.get_part(name, start, length)

    def exists(self, name: str) -> bool:
        """Tell whether the file is there."""
        return self._store.size(name) is not None

    def remove(self) -> None:
        """Remove the folder with all its files; an absent folder is fine."""
        plain = self._store.plain
        if isinstance(plain, LocalStore):
            shutil.rmtree(plain.root, ignore_errors=True)
        else:
            self._store.delete_all("")
