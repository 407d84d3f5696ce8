"""Checkpoints of real archives proven from end to end, and states and buckets of a copy broken."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive_copies import GOOD, NETWORK, OTHER_HASH, change_state, open_archive
from aurora_ingest.errors import (
    ArchiveFileCorruptError,
    ArchiveFileMissingError,
    ArchiveStateError,
    CheckpointError,
    HashMismatchError,
    NetworkMismatchError,
    UsageError,
)
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.history_archive.paths import bucket_path, checkpoint_path
from aurora_ingest.network import PUBNET, STANDALONE, TESTNET


# --- Real archives ----------------------------------------------------------------------------------------------------
@pytest.mark.shared_data
def test_every_checkpoint_of_a_public_testnet_is_proven(unpacked: Callable[[str], Path], shared_data: Path) -> None:
    name = "testnet-archive-1-8063"
    archive = open_archive(unpacked(name), network=TESTNET)
    assert archive.latest_checkpoint() == 8063
    proven = {checkpoint: archive.verify_checkpoint(checkpoint) for checkpoint in range(63, 8064, 64)}
    assert len(proven) == 126
    facts = json.loads((shared_data / "public" / "stellar-archivist" / f"{name}.facts.json").read_bytes())
    for state in facts["state_at"]:
        found = proven[state["checkpoint"]]
        assert found.header.bucket_list_hash == state["bucket_list_hash"]
        assert found.protocol_version == state["ledger_version"]
        assert found.header.total_coins == state["header_total_coins"]
        assert found.header.fee_pool == state["header_fee_pool"]
    # The whole chain, from the newest ledger to the oldest checkpoint and the other way.
    last, first = proven[8063].header, proven[63].header
    assert archive.verify_checkpoint(63, (8063, last.ledger_hash)).header == first
    assert archive.verify_checkpoint(8063, (63, first.ledger_hash)).header == last


@pytest.mark.shared_data
def test_every_checkpoint_of_an_old_public_archive_is_proven(
    unpacked: Callable[[str], Path], shared_data: Path
) -> None:
    name = "pubnet-archive-11999936-12001023"
    archive = open_archive(unpacked(name), network=PUBNET)
    assert archive.latest_checkpoint() == 12001023
    facts = json.loads((shared_data / "public" / "stellar-archivist" / f"{name}.facts.json").read_bytes())
    proven = {entry["cp"]: archive.verify_checkpoint(entry["cp"]) for entry in facts["per_checkpoint"]}
    assert len(proven) == 17
    for state in facts["state_at"]:
        found = proven[state["checkpoint"]]
        assert found.header.bucket_list_hash == state["bucket_list_hash"]
        assert found.protocol_version == 8
        assert found.state.network_passphrase is None  # an archive so old does not say


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "folder,frequency",
    [("standalone-p19", 64), ("standalone-p19-bulk", 64), ("standalone-p19-accel", 8), ("standalone-p23", 64)],
)
def test_the_proof_agrees_with_what_stellar_core_says_of_itself(shared_data: Path, folder: str, frequency: int) -> None:
    network = STANDALONE.with_checkpoint_frequency(frequency)
    archive = open_archive(shared_data / folder / "archive", network=network)
    newest = archive.latest_checkpoint()
    told = 0
    for checkpoint in range(frequency - 1, newest + 1, frequency):
        proven = archive.verify_checkpoint(checkpoint)
        info = shared_data / folder / "oracle" / "offline-info" / f"{checkpoint:08d}.json"
        if info.is_file():
            ledger = json.loads(info.read_bytes())["info"]["ledger"]
            assert proven.ledger_hash == ledger["hash"]
            assert proven.protocol_version == ledger["version"]
            assert [(level.curr, level.snap) for level in proven.state.live] == [
                (level["curr"], level["snap"]) for level in ledger["bucketlist"]
            ]
            told += 1
        for name in (*proven.live_buckets, *proven.hot_buckets):
            assert (shared_data / folder / "archive" / bucket_path(name)).is_file()
        assert bool(proven.hot_buckets) <= (proven.protocol_version >= 23)
    assert told >= 2


@pytest.mark.shared_data
def test_a_hot_archive_is_part_of_the_proof(shared_data: Path) -> None:
    archive = open_archive(shared_data / "standalone-p23" / "archive", network=STANDALONE)
    proven = archive.verify_checkpoint(255)
    assert proven.ledger_hash == "1890724cb2b4367b3764a41fea24ad7c71d6c8801c02a911b27f92889855d552"
    assert proven.state.version == 2
    assert proven.hot_buckets
    assert proven.state.bucket_list_hash(22) != proven.header.bucket_list_hash


@pytest.mark.shared_data
def test_a_bucket_changed_in_the_hot_archive_breaks_the_proof(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "standalone-p23" / "archive"
    for category in ("history", "ledger"):
        for_copy = tmp_path / checkpoint_path(category, 255)
        for_copy.parent.mkdir(parents=True)
        shutil.copyfile(source / checkpoint_path(category, 255), for_copy)

    def change(document: dict[str, Any]) -> None:
        document["hotArchiveBuckets"][0]["snap"] = OTHER_HASH

    change_state(tmp_path, 255, change)
    with pytest.raises(HashMismatchError, match="its buckets hash to"):
        open_archive(tmp_path, network=STANDALONE).verify_checkpoint(255)


def test_every_checkpoint_of_the_small_archive_is_proven_with_its_buckets() -> None:
    archive = open_archive(GOOD)
    for checkpoint in range(7, 96, 8):
        archive.verify_checkpoint(checkpoint)
    proven = archive.verify_checkpoint(95)
    for name in proven.live_buckets:
        with archive.open_bucket(name, verify=True) as bucket:
            content = gzip.decompress(b"".join(iter(bucket.read, b"")))
        assert hashlib.sha256(content).hexdigest() == name
    assert archive.bucket_sizes(proven.live_buckets) == tuple(
        (GOOD / bucket_path(name)).stat().st_size for name in proven.live_buckets
    )


def test_the_headers_come_as_rows_and_as_values() -> None:
    archive = open_archive(GOOD)
    rows = archive.ledger_headers(95)
    assert rows.column("ledger_sequence").to_pylist() == list(range(88, 96))
    headers = archive.headers(7)
    assert [header.sequence for header in headers] == [1, 2, 3, 4, 5, 6, 7]
    assert (headers[0].protocol, headers[-1].protocol) == (0, 19)
    assert headers[0].previous_ledger_hash == "00" * 32


def test_an_archive_survives_pickling() -> None:
    archive = HistoryArchive([str(GOOD)], NETWORK)
    again = pickle.loads(pickle.dumps(archive))  # noqa: S301 - our own bytes
    assert again.urls == archive.urls
    assert again.verify_checkpoint(95) == archive.verify_checkpoint(95)


# --- Broken states ----------------------------------------------------------------------------------------------------
def test_two_buckets_swapped_in_a_state_break_the_proof(copy: Path) -> None:
    expected = open_archive(copy).verify_checkpoint(95).header.bucket_list_hash

    def swap(document: dict[str, Any]) -> None:
        first = document["currentBuckets"][0]
        assert first["curr"] != first["snap"]
        first["curr"], first["snap"] = first["snap"], first["curr"]

    change_state(copy, 95, swap)
    archive = open_archive(copy)
    computed = archive.state(95).bucket_list_hash(19)
    with pytest.raises(HashMismatchError) as caught:
        archive.verify_checkpoint(95)
    assert caught.value.expected == expected
    assert caught.value.computed == computed
    assert expected in str(caught.value)
    assert computed in str(caught.value)
    assert caught.value.file == checkpoint_path("history", 95)
    # With a good mirror behind it the proof goes through.
    assert open_archive(copy, GOOD).verify_checkpoint(95).header.bucket_list_hash == expected


def test_an_archive_of_another_network_is_refused_by_name() -> None:
    archive = open_archive(GOOD, network=PUBNET.with_checkpoint_frequency(8))
    for ask in (archive.root_state, archive.latest_checkpoint, lambda: archive.verify_checkpoint(95)):
        with pytest.raises(NetworkMismatchError) as caught:
            ask()
        assert STANDALONE.passphrase in str(caught.value)
        assert PUBNET.passphrase in str(caught.value)


def test_a_state_that_names_no_network_is_read(copy: Path) -> None:
    change_state(copy, 95, lambda document: document.pop("networkPassphrase"))
    assert open_archive(copy).verify_checkpoint(95).state.network_passphrase is None


def test_a_state_of_another_ledger_is_refused(copy: Path) -> None:
    shutil.copyfile(copy / checkpoint_path("history", 87), copy / checkpoint_path("history", 95))
    with pytest.raises(ArchiveStateError, match="holds the state of ledger 87, not 95"):
        open_archive(copy).verify_checkpoint(95)


def test_a_missing_state_names_the_newest_checkpoint(copy: Path) -> None:
    with pytest.raises(ArchiveFileMissingError, match="the newest checkpoint of this archive is 95") as caught:
        open_archive(copy).verify_checkpoint(103)
    assert list(caught.value.mirrors) == [str(copy)]
    (copy / NETWORK.root_path).unlink()
    with pytest.raises(ArchiveFileMissingError, match="nor does it name a newest checkpoint"):
        open_archive(copy).verify_checkpoint(103)


def test_an_initialised_archive_says_which_checkpoint_will_be_the_first(copy: Path) -> None:
    shutil.copyfile(copy / "history/00/00/00/history-00000000.json", copy / NETWORK.root_path)
    archive = open_archive(copy)
    assert not archive.root_state().has_checkpoint
    with pytest.raises(ArchiveStateError, match="has no checkpoint yet; the first will be 7"):
        archive.latest_checkpoint()


@pytest.mark.parametrize("content", [b"", b"{", b"<html>not found</html>", b"x" * (1 << 20), b"x" * ((1 << 20) + 1)])
def test_a_root_state_that_is_none_is_refused(copy: Path, content: bytes) -> None:
    (copy / NETWORK.root_path).write_bytes(content)
    with pytest.raises((ArchiveStateError, ArchiveFileCorruptError), match="stellar-history"):
        open_archive(copy).root_state()


@pytest.mark.parametrize(
    "checkpoint,frequency,near",
    [(96, 8, "95 and 103"), (94, 8, "87 and 95"), (8064, 64, "8063 and 8127"), (95, 64, "63 and 127"), (0, 8, "7")],
)
def test_what_is_no_checkpoint_is_refused_with_the_nearest(checkpoint: int, frequency: int, near: str) -> None:
    archive = open_archive(GOOD, network=NETWORK.with_checkpoint_frequency(frequency))
    for ask in (archive.verify_checkpoint, archive.state, archive.headers, archive.ledger_headers):
        with pytest.raises(CheckpointError, match=f"{checkpoint} is not a checkpoint; nearest (is|are) {near}$"):
            ask(checkpoint)


def test_a_wrong_frequency_is_guessed_at() -> None:
    # 95 is a checkpoint at 8, 16 and 32 but not at 64.
    with pytest.raises(ArchiveStateError, match="95 is not a checkpoint at a frequency of 64"):
        open_archive(GOOD, network=STANDALONE).latest_checkpoint()
    with pytest.raises(ArchiveFileCorruptError, match="is the checkpoint frequency right"):
        open_archive(GOOD, network=NETWORK.with_checkpoint_frequency(16)).verify_checkpoint(95)


# --- Buckets ----------------------------------------------------------------------------------------------------------
def test_a_bucket_with_other_content_is_refused_with_both_hashes(copy: Path) -> None:
    first, second = open_archive(copy).verify_checkpoint(95).live_buckets[:2]
    shutil.copyfile(copy / bucket_path(second), copy / bucket_path(first))
    with pytest.raises(HashMismatchError) as caught:
        open_archive(copy).open_bucket(first, verify=True)
    assert (caught.value.expected, caught.value.computed) == (first, second)
    with open_archive(copy, GOOD).open_bucket(first) as bucket:
        assert bucket.url == str(GOOD)
        assert hashlib.sha256(gzip.decompress(b"".join(iter(bucket.read, b"")))).hexdigest() == first


def test_a_bucket_that_its_reader_rejects_is_not_given_again(copy: Path) -> None:
    name = open_archive(copy).verify_checkpoint(95).live_buckets[0]
    archive = open_archive(copy, GOOD)
    with archive.open_bucket(name, verify=False) as bucket:
        assert bucket.url == str(copy)
        bucket.reject("record 3 is nonsense")
    with archive.open_bucket(name, verify=False) as bucket:
        assert bucket.url == str(GOOD)
        bucket.reject("nor is this one")
    with pytest.raises(ArchiveFileCorruptError, match=r"record 3 is nonsense.*nor is this one"):
        archive.open_bucket(name, verify=False)


def test_a_missing_bucket_is_missing(copy: Path) -> None:
    archive = open_archive(copy)
    with pytest.raises(ArchiveFileMissingError, match=f"bucket-{OTHER_HASH}"):
        archive.open_bucket(OTHER_HASH)
    assert archive.bucket_sizes([OTHER_HASH]) == (None,)
    with pytest.raises(UsageError, match="not the name of a bucket"):
        archive.open_bucket("../../etc/passwd")
