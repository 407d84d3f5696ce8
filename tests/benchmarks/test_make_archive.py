from __future__ import annotations

import gzip
import hashlib
import struct
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from archive_writer import WrittenArchive
from make_archive import write_synthetic_archive
from pubnet_copies import records, write_pubnet_copies
from stellar_sdk import xdr

from aurora_ingest import _kernel
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.network import Network

PUBNET_TAR = "public/stellar-archivist/pubnet-archive-11999936-12001023.tar"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> WrittenArchive:
    return write_synthetic_archive(tmp_path_factory.mktemp("synthetic") / "archive", 2000)


def bucket_records(archive: WrittenArchive, name: str) -> list[bytes]:
    return list(records(gzip.decompress((archive.folder / name).read_bytes())))


def live_by_dict(archive: WrittenArchive) -> Counter[int]:
    """Live entries by type, merged by a dict over the keys that stellar-sdk writes."""
    newest: dict[bytes, bool] = {}
    for name in archive.buckets:
        for record in bucket_records(archive, name):
            kind = struct.unpack_from(">i", record)[0]
            if kind >= 0:
                key = record[4:] if kind == 1 else _kernel.ledger_key_of(record[4:])
                newest.setdefault(key, kind != 1)
    return Counter(key[3] for key, alive in newest.items() if alive)


def test_the_archive_passes_the_trust_chain(archive: WrittenArchive) -> None:
    verified = HistoryArchive([archive.url], Network(archive.passphrase)).verify_checkpoint(archive.checkpoint)
    assert verified.ledger_hash == archive.ledger_hash
    assert [f"bucket-{name}.xdr.gz" for name in verified.live_buckets] == [Path(n).name for n in archive.buckets]
    assert len(verified.hot_buckets) == 2


def test_every_record_is_valid_for_stellar_sdk(archive: WrittenArchive) -> None:
    kinds: Counter[xdr.BucketEntryType] = Counter()
    for name in archive.buckets:
        for record in bucket_records(archive, name):
            entry = xdr.BucketEntry.from_xdr_bytes(record)
            assert entry.to_xdr_bytes() == record
            kinds[entry.type] += 1
    assert set(kinds) == set(xdr.BucketEntryType)


def test_entries_are_as_many_as_asked_for_and_of_all_types(archive: WrittenArchive) -> None:
    assert archive.entries == 2000
    assert dict(live_by_dict(archive)) == dict(enumerate(archive.live_entries.values()))
    assert list(archive.live_entries) == list(_kernel.ENTRY_TYPES)


def test_every_contract_entry_has_its_ttl(archive: WrittenArchive) -> None:
    contracts = archive.live_entries["contract_data"] + archive.live_entries["contract_code"]
    assert archive.live_entries["ttl"] == contracts


def test_buckets_are_in_cores_order(archive: WrittenArchive) -> None:
    for name in archive.buckets:
        keys = []
        for record in bucket_records(archive, name)[1:]:
            body = record[4:]
            keys.append(_kernel.sort_key(body if record[3] == 1 else _kernel.ledger_key_of(body)))
        assert all(one < next_one for one, next_one in pairwise(keys))


def test_newer_buckets_update_and_hide_entries(archive: WrittenArchive) -> None:
    assert sum(archive.buckets.values()) > archive.entries * 1.1
    dead = sum(record[3] == 1 for name in archive.buckets for record in bucket_records(archive, name)[1:])
    assert dead > archive.entries * 0.02


def test_equal_seeds_give_equal_bytes_and_others_do_not(archive: WrittenArchive, tmp_path: Path) -> None:
    again = write_synthetic_archive(tmp_path / "again", 2000)
    other = write_synthetic_archive(tmp_path / "other", 2000, seed=2)
    assert again.buckets == archive.buckets
    assert again.ledger_hash == archive.ledger_hash
    assert other.ledger_hash != archive.ledger_hash


def test_before_protocol_23_there_is_no_hot_archive(tmp_path: Path) -> None:
    made = write_synthetic_archive(tmp_path / "p22", 1000, protocol=22)
    verified = HistoryArchive([made.url], Network(made.passphrase)).verify_checkpoint(made.checkpoint)
    assert verified.hot_buckets == ()
    assert verified.protocol_version == 22


def test_a_folder_that_is_not_empty_is_refused(archive: WrittenArchive) -> None:
    with pytest.raises(FileExistsError, match="not empty"):
        write_synthetic_archive(archive.folder, 1000)


@pytest.mark.shared_data
@pytest.mark.slow
def test_copies_of_pubnet_pass_the_trust_chain_and_keep_the_first_copy(shared_data: Path, tmp_path: Path) -> None:
    made = write_pubnet_copies(tmp_path / "x2", shared_data / PUBNET_TAR, 2, passphrase="Copies")
    assert dict(made.live_entries) == {
        name: 2 * count
        for name, count in {"account": 63_148, "trust_line": 11_583, "offer": 948, "data": 1_052}.items()
    }
    HistoryArchive([made.url], Network("Copies")).verify_checkpoint(made.checkpoint)
    (bucket,) = made.buckets
    data = (made.folder / bucket).read_bytes()
    batches = _kernel.read_bucket(data, columns={"offer": ["offer_id"]})  # raises when the order is not core's
    assert batches["offer"].num_rows == 2 * 948
    mask = hashlib.sha256(b"replica 1").digest()
    owners = [record[16:48] for record in bucket_records(made, bucket) if record[11] == 0]
    moved = {bytes(a ^ b for a, b in zip(owner, mask, strict=True)) for owner in owners}
    assert moved == set(owners)
