"""Reads one bucket, or a whole bucket list, with the kernel and prints what it took; run as a process of its own."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from archive_writer import WrittenArchive
from measure import own_peak_rss

from aurora_ingest import _kernel

CHUNK = 1 << 20
Columns = Mapping[str, Sequence[str]] | None


def projection(name: str) -> Columns:
    """Return the columns of a case: all of them, what our tables read, or the three entry types of classic books."""
    if name == "full":
        return None
    if name == "tables":
        from aurora_ingest.transforms.processors import TABLES, entry_columns

        return entry_columns(TABLES)
    if name == "none":
        return {}
    raise ValueError(f"{name!r} is no projection; known are full, tables, none")


def read_bucket(path: Path, columns: Columns, network_id: bytes) -> int:
    """Read a bucket in chunks to Arrow batches with hash, order and XDR checked; return the live entries."""
    name = path.name.removeprefix("bucket-").removesuffix(".xdr.gz")
    decoder = _kernel.BucketDecoder(columns=columns, expected_sha256=bytes.fromhex(name), network_id=network_id)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            for _, batch in decoder.feed(chunk):
                pa.record_batch(batch)
    for _, batch in decoder.finish():
        pa.record_batch(batch)
    return decoder.entries


def merge(archive: WrittenArchive, columns: Columns, network_id: bytes) -> int:
    """Merge all live buckets of an archive to Arrow batches; return the live entries."""
    paths = [archive.folder / name for name in archive.buckets]
    names = [path.name.removeprefix("bucket-").removesuffix(".xdr.gz") for path in paths]
    sources = [_kernel.BucketSource(name, "gzip", bytes.fromhex(name)) for name in names]
    merger = _kernel.BucketMerger(sources, columns=columns, network_id=network_id)
    streams = [path.open("rb") for path in paths]
    entries = 0
    while (step := merger.advance()) is not None:
        if isinstance(step, int):
            chunk = streams[step].read(CHUNK)
            if chunk:
                merger.feed(step, chunk)
            else:
                merger.end(step)
        else:
            entries += sum(step.entries.values())
            for _, batch in step.batches:
                pa.record_batch(batch)
    for stream in streams:
        stream.close()
    return entries


def main() -> None:
    """Run ``child_kernel.py bucket|merge PROJECTION ARCHIVE``."""
    what, columns_name, folder = sys.argv[1:]
    archive = WrittenArchive.load(Path(folder))
    columns = projection(columns_name)
    network_id = archive.network_id
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    if what == "bucket":
        entries = read_bucket(archive.largest_bucket, columns, network_id)
    else:
        entries = merge(archive, columns, network_id)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    words = {"entries": entries, "seconds": seconds, "cpu_seconds": cpu, "peak_rss_bytes": own_peak_rss()}
    print(json.dumps({**words, "kernel": _kernel.version()}))


if __name__ == "__main__":
    main()
