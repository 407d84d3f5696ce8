"""Every column of every entry table, against stellar-sdk on the records of real archives."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from kernel.sdk_rows import TABLES, Row, expected_row, parsed
from stellar_sdk import xdr

from aurora_ingest import _kernel

pytestmark = pytest.mark.shared_data

TESTNET = "Test SDF Network ; September 2015"
PUBNET = "Public Global Stellar Network ; September 2015"
STANDALONE = "Standalone Network ; February 2017"
ARCHIVES = {
    "public/stellar-archivist/testnet-archive-1-8063.tar": TESTNET,
    "public/stellar-archivist/pubnet-archive-11999936-12001023.tar": PUBNET,
    "standalone-p19/archive": STANDALONE,
    "standalone-p19-accel/archive": STANDALONE,
    "standalone-p19-bulk/archive": STANDALONE,
    "standalone-p23/archive": STANDALONE,
}
# stellar-sdk decodes some 10,000 records a second: of each table so many rows evenly from a bucket, and from an archive.
OF_BUCKET = 40
OF_ARCHIVE = 500
DEAD = 1
META = -1


def buckets(archive: Path) -> Iterator[bytes]:
    """Returns the inflated buckets of an archive that is a folder or a tar file."""
    if archive.is_dir():
        for path in sorted(archive.rglob("bucket-*.xdr.gz")):
            yield gzip.decompress(path.read_bytes())
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if "/bucket-" in f"/{member.name}" and member.name.endswith(".gz"):
                packed = tar.extractfile(member)
                assert packed is not None
                yield gzip.decompress(packed.read())


def records(data: bytes) -> Iterator[bytes]:
    """Returns the records of a framed stream."""
    start = 0
    while start < len(data):
        length = int.from_bytes(data[start : start + 4], "big") & 0x7FFFFFFF
        yield data[start + 4 : start + 4 + length]
        start += 4 + length


def is_hot(record: bytes) -> bool:
    """Says whether a first record is the META of a hot-archive bucket (BucketListType in its extension)."""
    return record[:4] == b"\xff\xff\xff\xff" and record[8:] == b"\0\0\0\1\0\0\0\1"


@pytest.mark.parametrize("archive", ARCHIVES)
def test_rows_are_those_of_stellar_sdk(shared_data: Path, archive: str) -> None:
    network_id = hashlib.sha256(ARCHIVES[archive].encode()).digest()
    by_table: dict[str, list[tuple[Row, bytes]]] = defaultdict(list)
    dead: Counter[str] = Counter()
    for data in buckets(shared_data / archive):
        all_records = list(records(data))
        if not all_records or is_hot(all_records[0]):
            continue
        batches = {name: pa.record_batch(batch) for name, batch in _kernel.read_bucket(
            data, compression="none", network_id=network_id
        ).items()}
        at: Counter[str] = Counter()
        picked: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for record in all_records:
            kind = int.from_bytes(record[:4], "big", signed=True)
            if kind == META:
                continue
            if kind == DEAD:
                dead[TABLES[int.from_bytes(record[4:8], "big")]] += 1
                continue
            table = TABLES[int.from_bytes(record[8:12], "big")]
            picked[table].append((at[table], record))
            at[table] += 1
        for table, batch in batches.items():
            batch.validate(full=True)
            if table == "dead":
                dead.subtract(batch.column("entry_type").to_pylist())
                continue
            assert batch.num_rows == at[table]
            rows = picked[table]
            chosen = rows[:: len(rows) // OF_BUCKET + 1]
            found = batch.take(pa.array([row for row, _ in chosen], pa.int64())).to_pylist()
            by_table[table].extend((row, record) for row, (_, record) in zip(found, chosen, strict=True))
    assert not +dead
    assert not -dead
    for table, pairs in by_table.items():
        for row, record in pairs[:: len(pairs) // OF_ARCHIVE + 1]:
            entry = xdr.BucketEntry.from_xdr_bytes(record)
            assert entry.live_entry is not None
            expected_table, expected = expected_row(entry.live_entry, entry.type.value, network_id)
            found_row = parsed(row)
            assert (table, found_row.keys()) == (expected_table, expected.keys())
            wrong = {name: (found_row[name], value) for name, value in expected.items() if found_row[name] != value}
            assert not wrong, table
