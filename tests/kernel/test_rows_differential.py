"""Every column of every entry table, against stellar-sdk on the records of real archives."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pytest
from stellar_sdk import xdr

from aurora_ingest import _kernel
from kernel.framing import inflated_files, is_hot, records
from kernel.sdk_rows import TABLES, Row, expected_row, parsed

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
# stellar-sdk decodes some 10,000 records a second: so many rows of each table, spread over a bucket and an archive.
OF_BUCKET = 40
OF_ARCHIVE = 500
DEAD = 1
META = -1


def sample(data: bytes, network_id: bytes) -> dict[str, list[tuple[Row, bytes]]]:
    """Decodes a bucket with the kernel; returns some rows of each table, each with its record."""
    by_table: dict[str, list[bytes]] = defaultdict(list)
    dead: Counter[str] = Counter()
    for record in records(data):
        kind = int.from_bytes(record[:4], "big", signed=True)
        if kind == DEAD:
            dead[TABLES[int.from_bytes(record[4:8], "big")]] += 1
        elif kind != META:
            by_table[TABLES[int.from_bytes(record[8:12], "big")]].append(record)
    batches = _kernel.read_bucket(data, compression="none", network_id=network_id)
    assert batches.keys() == {*TABLES, "dead"}
    sampled = {}
    for table, arrow_batch in batches.items():
        batch = pa.record_batch(arrow_batch)
        batch.validate(full=True)
        assert batch.schema == pa.schema(_kernel.entry_schema(table))
        if table == "dead":
            assert Counter(batch.column("entry_type").to_pylist()) == dead
            continue
        found = by_table[table]
        assert batch.num_rows == len(found)
        chosen = range(0, len(found), len(found) // OF_BUCKET + 1)
        rows = batch.take(pa.array(chosen, pa.int64())).to_pylist()
        sampled[table] = list(zip(rows, (found[row] for row in chosen), strict=True))
    return sampled


@pytest.mark.parametrize("archive", ARCHIVES)
def test_rows_are_those_of_stellar_sdk(shared_data: Path, archive: str) -> None:
    network_id = hashlib.sha256(ARCHIVES[archive].encode()).digest()
    pairs: dict[str, list[tuple[Row, bytes]]] = defaultdict(list)
    for data in inflated_files(shared_data / archive, "bucket"):
        if not is_hot(data):
            for table, sampled in sample(data, network_id).items():
                pairs[table].extend(sampled)
    for table, of_table in pairs.items():
        for found, record in of_table[:: len(of_table) // OF_ARCHIVE + 1]:
            entry = xdr.BucketEntry.from_xdr_bytes(record)
            assert entry.live_entry is not None
            row = parsed(found)
            expected_table, expected = expected_row(entry.live_entry, entry.type.value, network_id)
            assert (table, row.keys()) == (expected_table, expected.keys())
            wrong = {name: (row[name], value) for name, value in expected.items() if row[name] != value}
            assert not wrong, table


def test_archived_entries_of_the_hot_archive_are_rows_and_its_tombstones_dead_keys(shared_data: Path) -> None:
    network_id = hashlib.sha256(STANDALONE.encode()).digest()
    rows: Counter[str] = Counter()
    for data in inflated_files(shared_data / "standalone-p23/archive", "bucket"):
        if not is_hot(data):
            continue
        found = [xdr.HotArchiveBucketEntry.from_xdr_bytes(record) for record in records(data)]
        archived = [entry for entry in found if entry.archived_entry]
        batches = _kernel.read_bucket(data, compression="none", kind="hot", network_id=network_id)
        for table in ("contract_data", "contract_code"):
            batch = pa.record_batch(batches[table])
            entries = [entry.archived_entry for entry in archived]
            expected = [expected_row(entry, 0, network_id) for entry in entries if entry is not None]
            wanted = [row for name, row in expected if name == table]
            assert [parsed(row) for row in batch.to_pylist()] == wanted
            rows[table] += batch.num_rows
        dead = pa.record_batch(batches["dead"])
        keys = [entry.key.to_xdr_bytes() for entry in found if entry.key]
        assert dead.column("ledger_key").to_pylist() == keys
        rows["dead"] += dead.num_rows
    assert rows["contract_data"] > 0
    assert rows["contract_code"] > 0
    assert rows["dead"] > 0
