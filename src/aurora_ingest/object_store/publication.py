"""Replacing several files of a dataset together, so that of two writers one wins and a crash leaves no half of it.

A journal names the drafts, their places and the manifest. On a disk a lock keeps other writers out. In a bucket there
are no locks: the journal is put under the condition of its version, and every place under the condition of the version
that the journal found there. So whoever was overtaken, even asleep in the middle of it, can write nothing any more.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from aurora_ingest.errors import BackendError, WriteConflictError
from aurora_ingest.history_archive.storage import NotThereError
from aurora_ingest.object_store.local_store import LocalStore
from aurora_ingest.object_store.patient_store import PatientStore
from aurora_ingest.object_store.store import ABSENT

_DONE: Final = b"{}\n"


@dataclass(frozen=True)
class Move:
    """One draft and the place that it takes; paths relative to the store.

    Attributes:
        draft: where the draft lies.
        path: where it goes.
        sha256: hex hash of its bytes.
        version: version of the file at its place that it replaces; settled when the journal is written.
    """

    draft: str
    path: str
    sha256: str
    version: str = ABSENT


@dataclass(frozen=True)
class Publication:
    """Files that change together.

    Attributes:
        what: what changes, for messages.
        run: name of the writer's run, so that it knows its own journal.
        moves: the new files.
        removed: (path, version) of files that go.
        manifest: path of the manifest, which is written last.
        manifest_version: its version when the writer began; what it writes rests on that content.
        text: the manifest.
    """

    what: str
    run: str
    moves: tuple[Move, ...]
    removed: tuple[tuple[str, str], ...]
    manifest: str
    manifest_version: str
    text: str

    def to_bytes(self) -> bytes:
        """Returns the journal."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Publication:
        """Reads what ``to_bytes`` gave."""
        values = json.loads(data)
        moves = tuple(Move(**move) for move in values.pop("moves"))
        removed = tuple((path, version) for path, version in values.pop("removed"))
        return cls(moves=moves, removed=removed, **values)


def publish(store: PatientStore, journal: str, publication: Publication, drafts: Mapping[str, Path]) -> None:
    """Carries a publication out; from the moment that its journal is there, whoever comes next would finish it.

    Args:
        store: where; a writer on a disk holds the lock of what it changes.
        journal: path of the journal.
        publication: what to change; versions of places need not be settled yet.
        drafts: files of this machine with the drafts, by their path in the store; what is there already is left out.

    Raises:
        WriteConflictError: another writer published first; nothing of this one is visible.
        BackendError: the storage refused, or did not answer.
    """
    if isinstance(store.plain, LocalStore):
        claim(store, journal, publication, None)
        carry_out(store, journal, publication, {})
        return
    for path, file in drafts.items():
        store.put(path, file)
    # The journal's version is looked up first: any publication from here on changes it, and the claim below fails.
    held, version = store.get_version(journal)
    if _is_open(held):
        roll_forward(store, journal)
        raise _lost(publication)
    if store.version(publication.manifest) != publication.manifest_version:
        raise _lost(publication)
    settled = Publication(
        **{
            **vars(publication),
            "moves": tuple(
                Move(move.draft, move.path, move.sha256, store.version(move.path)) for move in publication.moves
            ),
            "removed": tuple((path, store.version(path)) for path, _ in publication.removed),
        }
    )
    claim(store, journal, settled, version)
    carry_out(store, journal, settled, drafts)


def roll_forward(store: PatientStore, journal: str) -> None:
    """Finishes the publication whose journal is there; without one nothing happens.

    Raises:
        BackendError: the storage refused, or did not answer.
    """
    data, version = store.get_version(journal)
    if not _is_open(data):
        return
    publication = Publication.from_bytes(data)
    try:
        carry_out(store, journal, publication, {})
    except WriteConflictError:
        # Who wrote the journal was overtaken before it wrote anything else, or somebody finished it meanwhile.
        store.put(journal, _DONE, version)


def claim(store: PatientStore, journal: str, publication: Publication, version: str | None) -> None:
    """Writes the journal in one step.

    Raises:
        WriteConflictError: another writer has put its own.
    """
    data = publication.to_bytes()
    if not store.put(journal, data, version) and store.get_version(journal)[0] != data:
        raise _lost(publication)


def carry_out(store: PatientStore, journal: str, publication: Publication, drafts: Mapping[str, Path]) -> None:
    """Does what a journal says, or the rest of it; doing it again changes nothing.

    Raises:
        WriteConflictError: a later publication has taken a place.
    """
    for move in publication.moves:
        put_in_place(store, publication, move, drafts.get(move.draft))
    if store.local:
        for path, _ in publication.removed:
            store.delete(path)
    write_manifest(store, publication)
    if store.local:
        store.delete(journal)
        return
    for path, version in publication.removed:
        store.delete(path, version)
    held, version = store.get_version(journal)
    if held == publication.to_bytes():
        store.put(journal, _DONE, version)
    for move in publication.moves:
        store.delete(move.draft)


def put_in_place(store: PatientStore, publication: Publication, move: Move, draft: Path | None) -> None:
    """Makes one draft the file of its place, in one step.

    Raises:
        WriteConflictError: a later publication has taken the place.
    """
    if isinstance(store.plain, LocalStore):
        staged, place = store.plain.root / move.draft, store.plain.root / move.path
        if staged.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(place)
        return
    if draft is not None:
        taken = store.put(move.path, draft, move.version)
    else:
        with tempfile.NamedTemporaryFile(prefix="aurora-draft-") as copy:
            try:
                whole = store.fetch(move.draft, Path(copy.name)) == move.sha256
            except NotThereError:
                whole = False
            taken = whole and store.put(move.path, Path(copy.name), move.version)
            if not (taken or whole or _has(store, move)):
                message = f"{publication.what} of {store.url} is half published and its draft {move.draft} is gone"
                raise BackendError(f"{message}: write it again")
    if not (taken or _has(store, move)):
        raise _lost(publication)


def write_manifest(store: PatientStore, publication: Publication) -> None:
    """Writes the manifest, in one step.

    Raises:
        WriteConflictError: a later publication has written it.
    """
    data = publication.text.encode()
    version = None if store.local else publication.manifest_version
    if not store.put(publication.manifest, data, version) and store.get_version(publication.manifest)[0] != data:
        raise _lost(publication)


def _has(store: PatientStore, move: Move) -> bool:
    """Tells whether a place has the draft's bytes: somebody finished the publication, or an answer got lost."""
    with tempfile.NamedTemporaryFile(prefix="aurora-check-") as copy:
        try:
            return store.fetch(move.path, Path(copy.name)) == move.sha256
        except NotThereError:
            return False


def _is_open(journal: bytes) -> bool:
    return journal not in {b"", _DONE}


def _lost(publication: Publication) -> WriteConflictError:
    return WriteConflictError(
        f"{publication.what}: another writer published it meanwhile; nothing of this run is in it. "
        "If this run's rows are the right ones, run it again"
    )
