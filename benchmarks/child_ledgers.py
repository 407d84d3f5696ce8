"""Reads a framed stream of ledgers with the kernel and prints what it took; run as a process of its own."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from measure import own_peak_rss

from aurora_ingest import _kernel

CHUNK = 1 << 20
BATCH = 16 << 20  # bytes of ledgers, the slice of a reingest


def projection(name: str) -> Mapping[str, Sequence[str] | None] | None:
    """Return the columns of a case: all, those without a second text form of their XDR, or none (validation only)."""
    if name == "full":
        return None
    if name == "none":
        return {}
    if name == "binary":
        names = {table: pa.schema(_kernel.ledger_schema(table)).names for table in _kernel.LEDGER_TABLES}
        return {table: [n for n in all_ if not n.endswith(("_base64", "_json"))] for table, all_ in names.items()}
    raise ValueError(f"{name!r} is no projection; known are full, binary, none")


def read(path: Path, columns: Mapping[str, Sequence[str] | None] | None, passphrase: str) -> dict[str, int]:
    """Read a stream in chunks to Arrow batches; return the rows by table."""
    frames = _kernel.LedgerFrames(framing="framed", compression="none", validate=False)
    decoder = _kernel.LedgerDecoder(network_id=hashlib.sha256(passphrase.encode()).digest(), columns=columns)
    rows: dict[str, int] = {"ledgers_read": 0}

    def take() -> None:
        for table, batch in decoder.take().items():
            rows[table] = rows.get(table, 0) + pa.record_batch(batch).num_rows

    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            for _, ledger in frames.feed(chunk):
                decoder.push(ledger)
                rows["ledgers_read"] += 1
            if decoder.bytes >= BATCH:
                take()
    frames.finish()
    take()
    return rows


def main() -> None:
    """Run ``child_ledgers.py PROJECTION FILE PASSPHRASE``."""
    name, path, passphrase = sys.argv[1:]
    columns = projection(name)
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    rows = read(Path(path), columns, passphrase)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({**rows, "seconds": seconds, "cpu_seconds": cpu, "peak_rss_bytes": own_peak_rss()}))


if __name__ == "__main__":
    main()
