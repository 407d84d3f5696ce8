"""The kernel's bucket decoder and merger beside the Go SDK's readers, on the same files, on one core."""

from __future__ import annotations

import sys

import inputs
from measure import Case, interleave, ratio
from report import Suite, Target

NAME = "kernel"


def run(entries: int, rounds: int) -> Suite:
    """Measure one bucket (the largest of a synthetic archive) and the whole bucket list."""
    archive = inputs.synthetic(entries)
    bucket = archive.largest_bucket
    records = archive.buckets[str(bucket.relative_to(archive.folder))]
    go_bucket, go_archive = str(inputs.go_program("bucket")), str(inputs.go_program("archive"))
    child = [sys.executable, str(inputs.HERE / "child_kernel.py")]
    folder = str(archive.folder)
    network = archive.passphrase

    def kernel(what: str, columns: str, name: str, work: int) -> Case:
        return Case(name, [*child, what, columns, folder], work, cores=1, environment=inputs.PYTHON_PATH)

    go_rows, go_decode, tables, full, none, go_reader, merger, merger_full = interleave(
        [
            Case("Go: decode + rows, one bucket", [go_bucket, "rows", str(bucket)], records, cores=1),
            Case("Go: decode only, one bucket", [go_bucket, "decode", str(bucket)], records, cores=1),
            kernel("bucket", "tables", "kernel: columns of all our tables, one bucket", records),
            kernel("bucket", "full", "kernel: every column, one bucket", records),
            kernel("bucket", "none", "kernel: hash, validation and order only, one bucket", records),
            Case(
                "Go: CheckpointChangeReader, whole archive",
                [go_archive, archive.url, str(archive.checkpoint), network],
                archive.entries,
                cores=1,
            ),
            kernel("merge", "tables", "kernel: merge, columns of all our tables, whole archive", archive.entries),
            kernel("merge", "full", "kernel: merge, every column, whole archive", archive.entries),
        ],
        rounds,
    )
    return Suite(
        NAME,
        f"Buckets of a synthetic archive of {archive.entries:,} live entries; the largest has {records:,}",
        (go_rows, go_decode, tables, full, none, go_reader, merger, merger_full),
        (
            f"Go SDK {go_rows.runs[0].said['sdk']}; every case pinned to one core, hash checked, gzip in.",
            (
                "Go's rows are structs with the fields of Horizon's tables, dropped at once; ours are Arrow batches. "
                "CheckpointChangeReader makes no rows."
            ),
            (
                "“Every column” has three copies of each key (raw, base64, hash) and the entry's whole XDR, which Go's "
                "rows have not."
            ),
        ),
        (
            Target("kernel, columns of all our tables : Go rows, CPU", ratio(tables, go_rows, "cpu_seconds"), 4),
            Target("kernel, columns of all our tables : Go rows, wall", ratio(tables, go_rows, "seconds"), 4),
            Target("kernel, every column : Go rows, CPU", ratio(full, go_rows, "cpu_seconds"), 4),
            Target("kernel merge : CheckpointChangeReader, CPU", ratio(merger, go_reader, "cpu_seconds"), 1),
        ),
    )
