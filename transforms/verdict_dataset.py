"""The Parquet dataset of one verification: replaced as a whole, manifest last."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from typing import Final

from aurora_ingest.object_store.local_store import LocalStore
from aurora_ingest.object_store.patient_store import patient_store
from aurora_ingest.object_store.publication import Move, Publication, publish
from aurora_ingest.object_store.store import ABSENT

TABLE: Final = "ledger_verdicts"
_MANIFEST: Final = f"{TABLE}/_manifest.json"


class VerdictDataset:
    """Files ``<root>/ledger_verdicts/part-….parquet`` and their manifest in the making.

    On a disk the folder is swapped. In a bucket the files are put in place under a journal, and those of an older
    verification are removed after the manifest.

    Attributes:
        names: names of the files so far.
    """

    def __init__(self, root: str) -> None:
        """Starts anew; what a crash left of an earlier draft goes."""
        self.names: list[str] = []
        self._store = patient_store(root, "Parquet")
        self._drafts = f".{TABLE}.draft" if self._store.local else f".{TABLE}.{uuid.uuid4().hex}.draft"
        self._moves: list[Move] = []
        _, self._version = self._store.get_version(_MANIFEST)
        self._drop()

    def add(self, name: str, data: bytes) -> None:
        """Writes one more file."""
        self._store.put(f"{self._drafts}/{name}", data)
        self._moves.append(Move(f"{self._drafts}/{name}", f"{TABLE}/{name}", hashlib.sha256(data).hexdigest()))
        self.names.append(name)

    def publish(self, manifest: str) -> None:
        """Makes the files the dataset.

        Raises:
            WriteConflictError: another verification was published meanwhile, in a bucket.
        """
        if isinstance(self._store.plain, LocalStore):
            root = self._store.plain.root
            (root / self._drafts).mkdir(parents=True, exist_ok=True)
            shutil.rmtree(root / TABLE, ignore_errors=True)
            (root / self._drafts).rename(root / TABLE)
            self._store.put(_MANIFEST, manifest.encode())
            return
        places = {_MANIFEST, *(move.path for move in self._moves)}
        removed = tuple((path, ABSENT) for path in self._store.walk(f"{TABLE}/") if path not in places)
        publication = Publication(
            what=f"{TABLE} of {self._store.url}",
            run=uuid.uuid4().hex,
            moves=tuple(self._moves),
            removed=removed,
            manifest=_MANIFEST,
            manifest_version=self._version,
            text=manifest,
        )
        try:
            publish(self._store, f".publishing/{TABLE}.json", publication, {})
        finally:
            self._drop()

    def _drop(self) -> None:
        if isinstance(self._store.plain, LocalStore):
            shutil.rmtree(self._store.plain.root / self._drafts, ignore_errors=True)
        else:
            self._store.delete_all(f"{self._drafts}/")
