"""Fills a SEP-54 data lake from any other source of ledgers; several writers at once cannot spoil it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from aurora_ingest.errors import BackendError, LakeConflictError, UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import (
    FIRST_CLOSED_LEDGER,
    BackendOptions,
    LedgerBackend,
    RawLedger,
)
from aurora_ingest.ledger_backend.frames import ledgers_of_file
from aurora_ingest.ledger_backend.lake_chain import ChainLink, links, require_chain, require_same_chain
from aurora_ingest.ledger_backend.lake_index import LakeIndex
from aurora_ingest.ledger_backend.lake_layout import COMPRESSION, EXTENSION, MANIFEST, LakeFile, LakeLayout, Manifest
from aurora_ingest.ledger_backend.prefetch import prefetched
from aurora_ingest.network import UINT32_MAX, Network
from aurora_ingest.object_store.store import open_store, patiently

_BATCH_HEAD = struct.Struct(">III")


@dataclass(frozen=True)
class LakePlan:
    """What there is to do.

    Attributes:
        ledgers: the range, whole files.
        layout: how they are named.
        files: how many files hold it.
        missing: the ledgers whose files are not there yet, as ascending ranges of whole files.
    """

    ledgers: LedgerRange
    layout: LakeLayout
    files: int
    missing: tuple[LedgerRange, ...]


@dataclass
class LakeProgress:
    """What has been done.

    Attributes:
        written: files written.
        found: files that another writer wrote meanwhile.
        ledgers: ledgers in the written files.
        bytes: compressed bytes of the written files.
    """

    written: int = 0
    found: int = 0
    ledgers: int = 0
    bytes: int = 0


@dataclass
class _Job:
    file: LakeFile
    ledgers: list[RawLedger] = field(default_factory=list)
    links: list[ChainLink] = field(default_factory=list)


class LakeWriter:
    """Writes files of one layout into one lake.

    A file is written whole, under the condition that there is none of its name: whoever comes second finds it there.
    The manifest goes first, under the same condition. Ledgers must follow from each other and from those in the lake.

    Args:
        url: ``file://…``, a plain path, ``gs://bucket/prefix`` or ``s3://bucket/prefix``.
        network: of the ledgers.
        layout: ledgers per file and files per partition; None takes the lake's own, or Galexie's usual one.
        options: threads, and the retry budget per file.

    Raises:
        UsageError: an address that no storage reads.
    """

    def __init__(
        self, url: str, network: Network, layout: LakeLayout | None = None, options: BackendOptions | None = None
    ) -> None:
        self._network = network
        self._layout = layout
        self._options = options or BackendOptions()
        self._storage = open_store(url, self._options.retry)
        self._codec = pa.Codec(COMPRESSION)

    @property
    def url(self) -> str:
        """The lake's address for messages."""
        return self._storage.url

    def plan(self, backend: LedgerBackend, ledgers: LedgerRange) -> LakePlan:
        """Looks at lake and source without writing anything.

        Args:
            backend: where the ledgers come from.
            ledgers: inclusive; whole files.

        Raises:
            UsageError: the range cuts a file apart.
            LakeConflictError: the lake has another layout, or files with the old ending.
            NetworkMismatchError: the lake or the source is of another network.
            MissingLedgersError: the source does not have the ledgers that the lake lacks.
            BackendError: lake or source does not answer.
        """
        index = self._index()
        layout = self._layout_of(index)
        _require_whole_files(layout, ledgers)
        missing = [ledgers] if index is None else index.holes(ledgers)
        for part in missing:
            backend.check(part)
        return LakePlan(ledgers, layout, sum(1 for _ in layout.files(ledgers)), tuple(missing))

    def write(
        self, backend: LedgerBackend, plan: LakePlan, tell: Callable[[LakeProgress], None] = lambda _progress: None
    ) -> LakeProgress:
        """Writes the files that are not there.

        Args:
            backend: where the ledgers come from.
            plan: of `plan`.
            tell: hears of every file.

        Raises:
            LakeConflictError: the lake has another chain of ledgers, or another writer has begun it with another
                network or layout meanwhile.
            HashMismatchError: the source's ledgers do not follow from each other.
            BackendError: the source does not know what the transactions changed, or lake or source does not answer.
        """
        layout = self._begin()
        done = LakeProgress()
        jobs = self._jobs(backend, layout, plan)
        # In flight are `workers` files of raw ledgers at most; nothing waits after that.
        for job, size in prefetched(jobs, self._put, lambda _size: 0, self._options.workers, 1):
            if size:
                done.written += 1
                done.ledgers += len(job.links)
                done.bytes += size
            else:
                done.found += 1
            tell(done)
        return done

    # --- The lake -----------------------------------------------------------------------------------------------------
    def _index(self) -> LakeIndex | None:
        """The lake as it is; None if there is none yet."""
        index = LakeIndex(self._storage, self._network, BackendOptions(retry=self._options.retry))
        return index if index.exists() else None

    def _layout_of(self, index: LakeIndex | None) -> LakeLayout:
        """The layout to write in.

        Raises:
            LakeConflictError: the lake has another than the one asked for, or the old ending.
        """
        if index is None:
            return self._layout or LakeLayout()
        if index.manifest is None:
            raise LakeConflictError(
                f"data lake {self._storage.url} has files but no {MANIFEST} that says of which network they are: "
                "put one there, or begin a new lake"
            )
        has, wanted = index.layout, self._layout or index.layout
        if (has.ledgers_per_file, has.files_per_partition) != (wanted.ledgers_per_file, wanted.files_per_partition):
            raise LakeConflictError(f"data lake {self._storage.url} has {has}, but {wanted} were asked for")
        if has.extension != EXTENSION:
            raise LakeConflictError(
                f"data lake {self._storage.url} has files ending in .{has.extension}, as before Galexie v23; this "
                f"writes .{EXTENSION}: begin a new lake"
            )
        return has

    def _begin(self) -> LakeLayout:
        """Writes the manifest if there is none, and makes sure that the one that is there is ours."""
        layout = self._layout_of(self._index())
        manifest = Manifest(self._network.passphrase, layout).render()
        put = partial(self._storage.put_new, MANIFEST, manifest, {})
        patiently(self._options.retry, self._storage.url, MANIFEST, put)
        return self._layout_of(self._index())

    # --- Files --------------------------------------------------------------------------------------------------------
    def _jobs(self, backend: LedgerBackend, layout: LakeLayout, plan: LakePlan) -> Iterator[_Job]:
        for part in plan.missing:
            job: _Job | None = None
            before: ChainLink | None = None
            for raw in backend.read(part):
                self._require_whole(backend, raw)
                if job is None:
                    job = _Job(layout.file_of(raw.sequence))
                job.ledgers.append(raw)
                if raw.sequence == job.file.last:
                    job.links = links(self._network, job.ledgers)
                    require_chain(before, job.links, backend.describe())
                    if before is None:
                        self._join(job.links[0], part.first - 1)
                    before = job.links[-1]
                    if before.sequence == part.last:
                        self._join(before, part.last + 1)
                    yield job
                    job = None

    def _join(self, ours: ChainLink, neighbour: int) -> None:
        """Refuses a ledger that does not join the one beside it in the lake, if that is there.

        Raises:
            LakeConflictError: the lake has another chain.
        """
        index = self._index()
        if index is None or not FIRST_CLOSED_LEDGER <= neighbour <= UINT32_MAX:
            return
        there = next(index.files(LedgerRange(neighbour, neighbour)), None)
        if there is None:
            return
        path = f"{self._storage.url}/{there.path}"
        found = ledgers_of_file(path, index.fetch(there), "batch")
        theirs = links(self._network, [RawLedger(n, data, path) for n, data in found if n == neighbour])
        pair = (theirs[0], ours) if neighbour < ours.sequence else (ours, theirs[0])
        require_same_chain(*pair, f"data lake {self._storage.url}")

    @staticmethod
    def _require_whole(backend: LedgerBackend, raw: RawLedger) -> None:
        """Refuses a ledger that the source knows in part only: a lake has no place to say so."""
        if not raw.has_meta:
            raise BackendError(
                f"{backend.describe()} does not know what transactions changed: no data lake can be made of it"
            )
        if not raw.has_set:
            raise BackendError(f"{raw.origin}: the transaction set is not there: no data lake can be made of it")

    def _put(self, job: _Job) -> int:
        """Compressed bytes of the file; 0 if it was there already."""
        first, last = job.ledgers[0].sequence, job.ledgers[-1].sequence
        batch = b"".join([_BATCH_HEAD.pack(first, last, len(job.ledgers)), *(raw.data for raw in job.ledgers)])
        data: bytes = self._codec.compress(batch, asbytes=True)
        metadata = {
            "start-ledger": str(first),
            "end-ledger": str(last),
            "start-ledger-close-time": str(job.links[0].close_time),
            "end-ledger-close-time": str(job.links[-1].close_time),
            "protocol-version": str(job.links[-1].protocol),
            "network-passphrase": self._network.passphrase,
            "compression-type": COMPRESSION,
        }
        job.ledgers.clear()
        put = partial(self._storage.put_new, job.file.path, data, metadata)
        return len(data) if patiently(self._options.retry, self._storage.url, job.file.path, put) else 0


def _require_whole_files(layout: LakeLayout, ledgers: LedgerRange) -> None:
    """Refuses a range that would leave half a file.

    Raises:
        UsageError: it does; names the nearest ranges of whole files.
    """
    first, last = layout.file_of(ledgers.first), layout.file_of(ledgers.last)
    start = max(first.first, FIRST_CLOSED_LEDGER)
    if ledgers.first in {first.first, start} and ledgers.last == last.last:
        return
    wider = f"{start}-{last.last}"
    inner_first = first.first if ledgers.first <= start else first.last + 1
    inner_last = last.last if ledgers.last == last.last else last.first - 1
    inner = f" or {max(inner_first, FIRST_CLOSED_LEDGER)}-{inner_last}" if inner_first <= inner_last else ""
    raise UsageError(
        f"ledgers {ledgers} cut a file of the lake apart, which holds {layout.ledgers_per_file} ledgers: "
        f"whole files have {wider}{inner}"
    )
