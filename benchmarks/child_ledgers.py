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

# What Go's reader has in hand after its walk: no copies of whole metas, no hashes of sets, results and keys.
SAME = {
    "ledgers": ["ledger_sequence", "ledger_hash", "close_time"],
    "transactions": ["ledger_sequence", "transaction_hash", "account", "result_code", "envelope_xdr", "result_xdr"],
    "operations": ["id", "type", "source_account", "body_xdr", "result_xdr"],
    "changes": ["ledger_sequence", "transaction_order", "operation_order", "type", "entry_type", "pre_xdr", "post_xdr"],
    "contract_events": ["ledger_sequence", "transaction_order", "operation_order", "contract_id", "topics", "data_xdr"],
}
CHUNK = 1 << 20
BATCH = 16 << 20  # bytes of ledgers, the slice of a reingest


def projection(name: str) -> Mapping[str, Sequence[str] | None] | None:
    """Return the columns of a case: all, those without a second text form of their XDR, Go's, or none."""
    if name == "full":
        return None
    if name == "none":
        return {}
    if name == "same":
        return SAME
    if name == "binary":
        names = {table: pa.schema(_kernel.ledger_schema(table)).names for table in _kernel.LEDGER_TABLES}
        return {table: [n for n in all_ if not n.endswith(("_base64", "_json"))] for table, all_ in names.items()}
    raise ValueError(f"{name!r} is no projection; known are full, binary, same, none")


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
