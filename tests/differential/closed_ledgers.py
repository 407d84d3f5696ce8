"""Closed ledgers out of the shared data, and the history tables that the processors make of them."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import zstandard

from aurora_ingest import _kernel
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit, Receipt
from aurora_ingest.transforms.processors import HISTORY_TABLES, decoded_columns, history_by_table
from aurora_ingest.transforms.processors.processor import processed

LOADTEST = "load test network"
CORE_TESTS = "(V) (;,,;) (V)"
SLICE_BYTES = 16 << 20


def framed(data: bytes, compression: Literal["zstd", "none"] = "zstd") -> list[bytes]:
    """Returns the ledgers of a framed stream."""
    return _ledgers(_kernel.LedgerFrames(framing="framed", compression=compression), data)


def lake(folder: Path) -> Iterator[bytes]:
    """Yields the ledgers of a data lake; the names of its files descend as the ledgers ascend."""
    for path in sorted(folder.rglob("*.zst*"), reverse=True):
        yield from _ledgers(_kernel.LedgerFrames(framing="batch", compression="zstd"), path.read_bytes())


def _ledgers(frames: _kernel.LedgerFrames, data: bytes) -> list[bytes]:
    return [ledger for _, ledger in (*frames.feed(data), *frames.finish())]


def core_test_files(shared_data: Path) -> Iterator[tuple[str, bytes]]:
    """Yields names and bytes of the streams that stellar-core's own tests wrote."""
    path = shared_data / "public/stellar-core/test-lcm-current.tar.zst"
    with (
        path.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        for member in tar:
            content = tar.extractfile(member) if member.name.endswith(".xdr") else None
            if content is not None:
                yield member.name.removeprefix("./"), content.read()


def decoder(passphrase: str, tables: Sequence[str] = HISTORY_TABLES) -> _kernel.LedgerDecoder:
    """Returns a decoder of the columns that history tables read."""
    return _kernel.LedgerDecoder(
        network_id=hashlib.sha256(passphrase.encode()).digest(), columns=decoded_columns(tables)
    )


def slices(
    ledgers: Iterable[bytes], passphrase: str, tables: Sequence[str] = HISTORY_TABLES
) -> Iterator[dict[str, pa.RecordBatch]]:
    """Yields the history tables of the ledgers, slice after slice."""
    kernel = decoder(passphrase, tables)
    for ledger in ledgers:
        kernel.push(ledger)
        if kernel.bytes >= SLICE_BYTES:
            yield made(kernel, tables)
    yield made(kernel, tables)


def made(kernel: _kernel.LedgerDecoder, tables: Sequence[str] = HISTORY_TABLES) -> dict[str, pa.RecordBatch]:
    """Returns the history tables of what a decoder has built."""
    decoded = {name: pa.record_batch(batch) for name, batch in kernel.take().items()}
    unit = LedgerUnit(CHUNK, 0, False, 1, 1, {}, {}, {}, Receipt(CHUNK, 0, last=False), decoded=decoded)
    for process in history_by_table(tables):
        unit = processed(unit, process.spec)
    return dict(unit.tables)


def history(ledgers: Iterable[bytes], passphrase: str, tables: Sequence[str] = HISTORY_TABLES) -> dict[str, pa.Table]:
    """Returns the whole history tables of some ledgers."""
    parts = list(slices(ledgers, passphrase, tables))
    return {table: pa.Table.from_batches([part[table] for part in parts]) for table in tables}
