"""Driving the kernel's bucket merger: who feeds it, and how its ranges become LedgerUnits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.errors import BucketError, HashMismatchError
from aurora_ingest.transforms.build_plan import StateBuildPlan
from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit, Receipt
from aurora_ingest.transforms.processors import entry_columns

CHUNK_BYTES = 1 << 20
T = TypeVar("T")


@contextlib.contextmanager
def kernel_faults_named(thing: str) -> Iterator[None]:
    """Turn the kernel's errors into ours, with the bucket's name in front.

    Raises:
        HashMismatchError: the bytes are not those that the name promises.
        BucketError: the bytes break the bucket format, its order or the merge rules.
    """
    try:
        yield
    except _kernel.HashMismatch as error:
        message = f"{thing}: {error}; the file is damaged or not the one its name says: remove it or use another mirror"
        raise HashMismatchError(message) from error
    except (_kernel.XdrError, _kernel.OrderError, _kernel.AlgebraError) as error:
        message = f"{thing}: {error}"
        raise BucketError(message) from error


def merger_for(plan: StateBuildPlan, sources: list[_kernel.BucketSource], **bounds: object) -> _kernel.BucketMerger:
    """Return a merger set up with the plan's columns, network and cutting rule."""
    return _kernel.BucketMerger(
        sources,
        columns=entry_columns(plan.tables),
        network_id=plan.network.network_id,
        segment_records=plan.split.segment_records,
        segment_bytes=plan.split.segment_bytes,
        segments_per_range=plan.split.segments_per_range,
        strict_algebra=plan.strict_bucket_algebra,
        **bounds,  # type: ignore[arg-type]  # keyword names are checked by the kernel
    )


def run_merger(merger: _kernel.BucketMerger, chunks: Callable[[int], bytes]) -> Iterator[_kernel.MergedRange]:
    """Yield the merger's key ranges, feeding each source when the merger asks for it.

    Args:
        merger: a fresh merger.
        chunks: returns the next bytes of a source, empty at its end.
    """
    while (step := merger.advance()) is not None:
        if isinstance(step, int):
            chunk = chunks(step)
            if chunk:
                merger.feed(step, chunk)
            else:
                merger.end(step)
        else:
            yield step


class OpenBucket(Protocol):
    """Compressed bytes of one bucket, in order."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, empty at the end."""

    def close(self) -> None:
        """Give the file or connection back."""


class BucketStreams:
    """The open bucket files of a streaming merge; opened when first read, closed at their end."""

    def __init__(self, open_bucket: Callable[[int], OpenBucket], on_bytes: Callable[[int, int], None]) -> None:
        """Keep how to open source ``i`` and whom to tell (source, bytes read; -1 at its end)."""
        self._open = open_bucket
        self._on_bytes = on_bytes
        self._streams: dict[int, OpenBucket] = {}

    def next_chunk(self, source: int) -> bytes:
        """Return up to 1 MiB of a source's compressed bytes, empty at its end."""
        if source not in self._streams:
            self._streams[source] = self._open(source)
        chunk = self._streams[source].read(CHUNK_BYTES)
        self._on_bytes(source, len(chunk) or -1)
        if not chunk:
            self._streams[source].close()
        return chunk

    def close(self) -> None:
        """Close whatever is still open."""
        for stream in self._streams.values():
            stream.close()


def unit_of_range(plan: StateBuildPlan, merged: _kernel.MergedRange, *, last: bool, done: bool) -> LedgerUnit:
    """Make the LedgerUnit of one merged key range; a done one carries its stored receipt and no rows."""
    receipt = (
        plan.finished[RANGE, merged.index]
        if done
        else Receipt(RANGE, merged.index, last, merged.first_key.hex(), dict(merged.entries))
    )
    post: Mapping[str, pa.RecordBatch] = {} if done else {name: pa.record_batch(b) for name, b in merged.batches}
    return LedgerUnit(
        kind=RANGE,
        index=merged.index,
        last=last,
        first_ledger=plan.checkpoint,
        last_ledger=plan.checkpoint,
        pre={},
        post=post,
        tables={},
        receipt=receipt,
        done=done,
    )


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items of an iterator while a thread already works on the next one.

    The kernel works without the GIL, so the merge of the next range overlaps with writing this one. One item is alive
    besides the one in use. An error of the iterator is raised at its place.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="merge-ahead") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]  # only T and the end ever come
            del item
