"""The kernel's ledger decoder beside the Go SDK's LedgerTransactionReader, on the same pubnet ledgers, on one core."""

from __future__ import annotations

import gzip
import io
import struct
import sys
from pathlib import Path

import inputs
import zstandard
from measure import Case, interleave, ratio
from report import Suite, Target

NAME = "ledgers"
PUBNET = "Public Global Stellar Network ; September 2015"
SINGLE = [f"wallet-backend/ledger-{n}.xdr.gz" for n in (51000294, 57500008, 63092988, 63092996)]
BATCHES = ["galexie/pubnet/FC62697B--60659332.xdr.zst", "galexie/pubnet/FCD285FF--53312000.xdr.zstd"]
BATCH_HEADER = 12
COPIES = 72


def pubnet_stream() -> Path:
    """Return a framed stream of six pubnet ledgers of protocols 20 to 26, again and again.

    Raises:
        FileNotFoundError: the ledgers are not in the shared data.
    """
    path = inputs.SCRATCH / f"pubnet-ledgers-x{COPIES}.xdr"
    if not path.exists():
        public = inputs.SHARED_DATA / "public"
        ledgers = [gzip.decompress((public / name).read_bytes()) for name in SINGLE]
        for name in BATCHES:
            packed = io.BytesIO((public / name).read_bytes())
            ledgers.append(zstandard.ZstdDecompressor().stream_reader(packed).read()[BATCH_HEADER:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(COPIES * b"".join(struct.pack(">I", len(data) | 1 << 31) + data for data in ledgers))
    return path


def run(_entries: int, rounds: int) -> Suite:
    """Measure every column, the columns without text forms of XDR, and validation alone."""
    stream = pubnet_stream()
    megabytes = stream.stat().st_size // 1_000_000
    go = str(inputs.go_program("ledgers"))

    def kernel(columns: str, name: str) -> Case:
        command = [sys.executable, str(inputs.HERE / "child_ledgers.py"), columns, str(stream), PUBNET]
        return Case(name, command, megabytes, "MB", cores=1, environment=inputs.PYTHON_PATH)

    go_rows, go_decode, same, binary, full, none = interleave(
        [
            Case("Go: transactions, changes, events", [go, "rows", str(stream), PUBNET], megabytes, "MB", cores=1),
            Case("Go: decode only", [go, "decode", str(stream), PUBNET], megabytes, "MB", cores=1),
            kernel("same", "kernel: columns for what Go's reader gives"),
            kernel("binary", "kernel: all five tables, XDR columns binary"),
            kernel("full", "kernel: all five tables, XDR columns binary and base64"),
            kernel("none", "kernel: framing, validation, transaction hashes only"),
        ],
        rounds,
    )
    return Suite(
        NAME,
        f"{megabytes} MB of pubnet ledgers of protocols 20 to 26 as a framed stream",
        (go_rows, go_decode, same, binary, full, none),
        (
            (
                "Every case pinned to one core, the stream read from a file in chunks of 1 MiB. Go's reader matches "
                "transactions by hash, gathers changes and events and writes source accounts as text; it makes no rows."
            ),
            (
                "Ours are Arrow batches of every transaction, operation, change and event, 2.6 times the bytes read; "
                "header, set, result and key hashes are computed anew."
            ),
        ),
        (
            Target("kernel, what Go gives : Go, CPU", ratio(same, go_rows, "cpu_seconds"), 10),
            Target("kernel, binary : Go, CPU", ratio(binary, go_rows, "cpu_seconds"), 10),
        ),
    )
