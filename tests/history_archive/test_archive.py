"""Checkpoints of real archives proven from end to end, and a copy of one broken at every link of the proof."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import shutil
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aurora_ingest.errors import (
    ArchiveError,
    ArchiveFileCorruptError,
    ArchiveFileMissingError,
    ArchiveStateError,
    CheckpointError,
    HashMismatchError,
    NetworkMismatchError,
    UnsupportedProtocolError,
    UsageError,
)
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.history_archive.paths import bucket_path, checkpoint_path
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.network import PUBNET, STANDALONE, TESTNET, Network

_GOOD = Path(__file__).parents[1] / "data" / "standalone-accel"
_NETWORK = STANDALONE.with_checkpoint_frequency(8)
_OTHER_HASH = "ab" * 32


def _never(seconds: float) -> None:
    pytest.fail(f"waited {seconds} s for a local archive")


_POLICY = RetryPolicy(sleep=_never)


def _open(*folders: Path, network: Network = _NETWORK) -> HistoryArchive:
    return HistoryArchive([str(folder) for folder in folders], network, retry=_POLICY)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the small archive, to be broken."""
    return shutil.copytree(_GOOD, tmp_path / "archive")


@pytest.fixture(scope="module")
def unpacked(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Unpacks one of the public archives without its transactions and buckets, once."""
    done: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        if name not in done:
            folder = tmp_path_factory.mktemp("public")
            with tarfile.open(shared_data / "public" / "stellar-archivist" / f"{name}.tar") as tar:
                wanted = [member for member in tar if member.name.split("/")[0] in {".well-known", "history", "ledger"}]
                tar.extractall(folder, wanted, filter="data")
            done[name] = folder
        return done[name]

    return unpack


def _change_state(folder: Path, checkpoint: int, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / checkpoint_path("history", checkpoint)
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def _change_headers(folder: Path, checkpoint: int, change: Callable[[list[bytearray]], object]) -> None:
    """Gives the framed records of a ledger file to `change` and writes back what it leaves."""
    path = folder / checkpoint_path("ledger", checkpoint)
    data = gzip.decompress(path.read_bytes())
    records: list[bytearray] = []
    while data:
        length = struct.unpack(">I", data[:4])[0] & 0x7FFF_FFFF
        records.append(bytearray(data[4 : 4 + length]))
        data = data[4 + length :]
    change(records)
    framed = b"".join(struct.pack(">I", 0x8000_0000 | len(record)) + bytes(record) for record in records)
    path.write_bytes(gzip.compress(framed))


# --- Real archives ----------------------------------------------------------------------------------------------------
@pytest.mark.shared_data
def test_every_checkpoint_of_a_public_testnet_is_proven(unpacked: Callable[[str], Path], shared_data: Path) -> None:
    name = "testnet-archive-1-8063"
    archive = _open(unpacked(name), network=TESTNET)
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
    archive = _open(unpacked(name), network=PUBNET)
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
    archive = _open(shared_data / folder / "archive", network=network)
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
    archive = _open(shared_data / "standalone-p23" / "archive", network=STANDALONE)
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
        document["hotArchiveBuckets"][0]["snap"] = _OTHER_HASH

    _change_state(tmp_path, 255, change)
    with pytest.raises(HashMismatchError, match="its buckets hash to"):
        _open(tmp_path, network=STANDALONE).verify_checkpoint(255)


def test_every_checkpoint_of_the_small_archive_is_proven_with_its_buckets() -> None:
    archive = _open(_GOOD)
    for checkpoint in range(7, 96, 8):
        archive.verify_checkpoint(checkpoint)
    proven = archive.verify_checkpoint(95)
    for name in proven.live_buckets:
        with archive.open_bucket(name, verify=True) as bucket:
            content = gzip.decompress(b"".join(iter(bucket.read, b"")))
        assert hashlib.sha256(content).hexdigest() == name
    assert archive.bucket_sizes(proven.live_buckets) == tuple(
        (_GOOD / bucket_path(name)).stat().st_size for name in proven.live_buckets
    )


def test_the_headers_come_as_rows_and_as_values() -> None:
    archive = _open(_GOOD)
    rows = archive.ledger_headers(95)
    assert rows.column("ledger_sequence").to_pylist() == list(range(88, 96))
    headers = archive.headers(7)
    assert [header.sequence for header in headers] == [1, 2, 3, 4, 5, 6, 7]
    assert (headers[0].protocol, headers[-1].protocol) == (0, 19)
    assert headers[0].previous_ledger_hash == "00" * 32


def test_an_archive_survives_pickling() -> None:
    archive = HistoryArchive([str(_GOOD)], _NETWORK)
    again = pickle.loads(pickle.dumps(archive))  # noqa: S301 - our own bytes
    assert again.urls == archive.urls
    assert again.verify_checkpoint(95) == archive.verify_checkpoint(95)


# --- Broken states ----------------------------------------------------------------------------------------------------
def test_two_buckets_swapped_in_a_state_break_the_proof(copy: Path) -> None:
    expected = _open(copy).verify_checkpoint(95).header.bucket_list_hash

    def swap(document: dict[str, Any]) -> None:
        first = document["currentBuckets"][0]
        assert first["curr"] != first["snap"]
        first["curr"], first["snap"] = first["snap"], first["curr"]

    _change_state(copy, 95, swap)
    archive = _open(copy)
    computed = archive.state(95).bucket_list_hash(19)
    with pytest.raises(HashMismatchError) as caught:
        archive.verify_checkpoint(95)
    assert caught.value.expected == expected
    assert caught.value.computed == computed
    assert expected in str(caught.value)
    assert computed in str(caught.value)
    assert caught.value.file == checkpoint_path("history", 95)
    # With a good mirror behind it the proof goes through.
    assert _open(copy, _GOOD).verify_checkpoint(95).header.bucket_list_hash == expected


def test_an_archive_of_another_network_is_refused_by_name() -> None:
    archive = _open(_GOOD, network=PUBNET.with_checkpoint_frequency(8))
    for ask in (archive.root_state, archive.latest_checkpoint, lambda: archive.verify_checkpoint(95)):
        with pytest.raises(NetworkMismatchError) as caught:
            ask()
        assert STANDALONE.passphrase in str(caught.value)
        assert PUBNET.passphrase in str(caught.value)


def test_a_state_that_names_no_network_is_read(copy: Path) -> None:
    _change_state(copy, 95, lambda document: document.pop("networkPassphrase"))
    assert _open(copy).verify_checkpoint(95).state.network_passphrase is None


def test_a_state_of_another_ledger_is_refused(copy: Path) -> None:
    shutil.copyfile(copy / checkpoint_path("history", 87), copy / checkpoint_path("history", 95))
    with pytest.raises(ArchiveStateError, match="holds the state of ledger 87, not 95"):
        _open(copy).verify_checkpoint(95)


def test_a_missing_state_names_the_newest_checkpoint(copy: Path) -> None:
    with pytest.raises(ArchiveFileMissingError, match="the newest checkpoint of this archive is 95") as caught:
        _open(copy).verify_checkpoint(103)
    assert list(caught.value.mirrors) == [str(copy)]
    (copy / _NETWORK.root_path).unlink()
    with pytest.raises(ArchiveFileMissingError, match="nor does it name a newest checkpoint"):
        _open(copy).verify_checkpoint(103)


def test_an_initialised_archive_says_which_checkpoint_will_be_the_first(copy: Path) -> None:
    shutil.copyfile(copy / "history/00/00/00/history-00000000.json", copy / _NETWORK.root_path)
    archive = _open(copy)
    assert not archive.root_state().has_checkpoint
    with pytest.raises(ArchiveStateError, match="has no checkpoint yet; the first will be 7"):
        archive.latest_checkpoint()


@pytest.mark.parametrize("content", [b"", b"{", b"<html>not found</html>", b"x" * (1 << 20), b"x" * ((1 << 20) + 1)])
def test_a_root_state_that_is_none_is_refused(copy: Path, content: bytes) -> None:
    (copy / _NETWORK.root_path).write_bytes(content)
    with pytest.raises((ArchiveStateError, ArchiveFileCorruptError), match="stellar-history"):
        _open(copy).root_state()


@pytest.mark.parametrize(
    "checkpoint,frequency,near",
    [(96, 8, "95 and 103"), (94, 8, "87 and 95"), (8064, 64, "8063 and 8127"), (95, 64, "63 and 127"), (0, 8, "7")],
)
def test_what_is_no_checkpoint_is_refused_with_the_nearest(checkpoint: int, frequency: int, near: str) -> None:
    archive = _open(_GOOD, network=_NETWORK.with_checkpoint_frequency(frequency))
    for ask in (archive.verify_checkpoint, archive.state, archive.headers, archive.ledger_headers):
        with pytest.raises(CheckpointError, match=f"{checkpoint} is not a checkpoint; nearest (is|are) {near}$"):
            ask(checkpoint)


def test_a_wrong_frequency_is_guessed_at() -> None:
    # 95 is a checkpoint at 8, 16 and 32 but not at 64.
    with pytest.raises(ArchiveStateError, match="95 is not a checkpoint at a frequency of 64"):
        _open(_GOOD, network=STANDALONE).latest_checkpoint()
    with pytest.raises(ArchiveFileCorruptError, match="is the checkpoint frequency right"):
        _open(_GOOD, network=_NETWORK.with_checkpoint_frequency(16)).verify_checkpoint(95)


# --- Broken headers ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_flipped_bit_in_a_ledger_file_is_found(copy: Path, place: float) -> None:
    path = copy / checkpoint_path("ledger", 95)
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 4
    path.write_bytes(bytes(data))
    with pytest.raises((ArchiveFileCorruptError, HashMismatchError), match="ledger-0000005f"):
        _open(copy).verify_checkpoint(95)
    assert _open(copy, _GOOD).verify_checkpoint(95) == _open(_GOOD).verify_checkpoint(95)


@pytest.mark.parametrize("record", range(8))
def test_a_header_changed_and_compressed_again_does_not_meet_its_hash(copy: Path, record: int) -> None:
    def change(records: list[bytearray]) -> None:
        records[record][32 + 4 + 32 + 3] ^= 1  # the first field after the previous hash: the tx set's hash

    _change_headers(copy, 95, change)
    with pytest.raises(HashMismatchError, match=f"header of ledger {88 + record} hashes to") as caught:
        _open(copy).verify_checkpoint(95)
    assert caught.value.expected != caught.value.computed
    assert caught.value.file == checkpoint_path("ledger", 95)


def test_a_header_forged_with_its_hash_breaks_the_chain(copy: Path) -> None:
    def change(records: list[bytearray]) -> None:
        record = records[3]
        record[32 + 4 + 32 + 3] ^= 1
        record[:32] = hashlib.sha256(bytes(record[32:-4])).digest()  # 4 bytes of extension follow the header

    _change_headers(copy, 95, change)
    with pytest.raises(HashMismatchError, match=r"ledger 92 names [0-9a-f]{64} as the hash of ledger 91"):
        _open(copy).verify_checkpoint(95)


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda records: records.pop(), "the first one missing is 95"),
        (lambda records: records.pop(2), "the first one missing is 90"),
        (lambda records: records.append(records[-1]), "9 ledger headers"),
        (lambda records: records.insert(0, records.pop()), "expected ledgers 88-95"),
        (lambda records: records.clear(), "no ledger headers"),
    ],
)
def test_missing_doubled_and_misplaced_headers_are_named(
    copy: Path, change: Callable[[list[bytearray]], object], message: str
) -> None:
    _change_headers(copy, 95, change)
    with pytest.raises(ArchiveFileCorruptError, match=message):
        _open(copy).verify_checkpoint(95)


def test_a_newer_protocol_is_refused_before_anything_is_decoded(copy: Path) -> None:
    def change(records: list[bytearray]) -> None:
        records[-1] = records[-1][:32] + (99).to_bytes(4, "big") + b"what no one can decode"

    _change_headers(copy, 95, change)
    with pytest.raises(UnsupportedProtocolError, match="ledger 95 has protocol 99"):
        _open(copy).verify_checkpoint(95)


def test_a_ledger_file_that_inflates_without_end_is_refused(copy: Path) -> None:
    (copy / checkpoint_path("ledger", 95)).write_bytes(gzip.compress(bytes(65 << 20), 9))
    with pytest.raises(ArchiveFileCorruptError, match="inflates to more than"):
        _open(copy).verify_checkpoint(95)


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_a_ledger_file_cut_short_is_refused(copy: Path, cut: int) -> None:
    path = copy / checkpoint_path("ledger", 95)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ArchiveFileCorruptError, match="gzip cut short"):
        _open(copy).verify_checkpoint(95)


def test_a_missing_ledger_file_is_missing(copy: Path) -> None:
    (copy / checkpoint_path("ledger", 95)).unlink()
    with pytest.raises(ArchiveFileMissingError, match="ledger-0000005f") as caught:
        _open(copy).verify_checkpoint(95)
    assert caught.value.mirrors == {str(copy): "no such file"}
    assert _open(copy, _GOOD).verify_checkpoint(95).checkpoint == 95


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveFileMissingError, match=r"nowhere does not exist"):
        _open(tmp_path / "nowhere").root_state()


def test_a_folder_in_a_files_place_is_refused(copy: Path) -> None:
    path = copy / checkpoint_path("ledger", 95)
    path.unlink()
    path.mkdir()
    with pytest.raises(ArchiveError, match="Is a directory"):
        _open(copy).verify_checkpoint(95)


# --- Trusted ledgers --------------------------------------------------------------------------------------------------
def _hash_of(ledger: int) -> str:
    checkpoint = ledger // 8 * 8 + 7
    headers = _open(_GOOD).headers(checkpoint)
    return headers[ledger - headers[0].sequence].ledger_hash


@pytest.mark.parametrize("ledger", [88, 91, 95, 87, 50, 8, 7, 1])
@pytest.mark.parametrize("checkpoint", [95, 47, 7])
def test_a_right_trusted_ledger_proves_checkpoints_before_and_after(ledger: int, checkpoint: int) -> None:
    archive = _open(_GOOD)
    trusted = (ledger, _hash_of(ledger).upper())
    assert archive.verify_checkpoint(checkpoint, trusted) == archive.verify_checkpoint(checkpoint)


@pytest.mark.parametrize("ledger", [88, 95, 87, 20, 1])
def test_a_wrong_trusted_ledger_disproves_the_archive(ledger: int) -> None:
    with pytest.raises(HashMismatchError, match=f"ledger {ledger} has hash") as caught:
        _open(_GOOD).verify_checkpoint(95, (ledger, _OTHER_HASH))
    assert caught.value.expected == _OTHER_HASH
    assert caught.value.computed == _hash_of(ledger)


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "ab" * 33])
def test_a_trusted_hash_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="trusted ledger 95"):
        _open(_GOOD).verify_checkpoint(95, (95, text))


def _forge_chain(records: list[bytearray]) -> None:
    """Makes a file that is right in itself and of another chain: every header anew after the one changed."""
    before: bytes | None = None
    for record in records:
        if before is None:
            record[32 + 4 + 32 + 3] ^= 1
        else:
            record[36:68] = before
        before = hashlib.sha256(bytes(record[32:-4])).digest()
        record[:32] = before


@pytest.mark.parametrize("trusted,checkpoint", [(95, 47), (20, 95)])
def test_the_walk_ends_at_a_chain_that_is_forged(copy: Path, trusted: int, checkpoint: int) -> None:
    _change_headers(copy, 71, _forge_chain)
    archive = _open(copy)
    assert len(archive.headers(71)) == 8  # right in itself
    with pytest.raises(HashMismatchError, match="as the hash of ledger 71"):
        archive.verify_checkpoint(checkpoint, (trusted, _hash_of(trusted)))


@pytest.mark.parametrize(
    "trusted,checkpoint",
    [
        (95, 47),
        pytest.param(
            20,
            95,
            marks=pytest.mark.xfail(
                raises=HashMismatchError,
                reason="walking up, a forged file is noticed one file later, when its own good copy is not asked for",
            ),
        ),
    ],
)
def test_a_good_mirror_mends_the_walk_over_a_forged_chain(copy: Path, trusted: int, checkpoint: int) -> None:
    _change_headers(copy, 71, _forge_chain)
    proven = _open(copy, _GOOD).verify_checkpoint(checkpoint, (trusted, _hash_of(trusted)))
    assert proven == _open(_GOOD).verify_checkpoint(checkpoint)


def test_a_hole_in_the_walk_says_what_it_was_needed_for(copy: Path) -> None:
    (copy / checkpoint_path("ledger", 71)).unlink()
    with pytest.raises(ArchiveFileMissingError, match="needed to reach checkpoint 47 from trusted ledger 95"):
        _open(copy).verify_checkpoint(47, (95, _hash_of(95)))


# --- Buckets ----------------------------------------------------------------------------------------------------------
def test_a_bucket_with_other_content_is_refused_with_both_hashes(copy: Path) -> None:
    first, second = _open(copy).verify_checkpoint(95).live_buckets[:2]
    shutil.copyfile(copy / bucket_path(second), copy / bucket_path(first))
    with pytest.raises(HashMismatchError) as caught:
        _open(copy).open_bucket(first, verify=True)
    assert (caught.value.expected, caught.value.computed) == (first, second)
    with _open(copy, _GOOD).open_bucket(first) as bucket:
        assert bucket.url == str(_GOOD)
        assert hashlib.sha256(gzip.decompress(b"".join(iter(bucket.read, b"")))).hexdigest() == first


def test_a_bucket_that_its_reader_rejects_is_not_given_again(copy: Path) -> None:
    name = _open(copy).verify_checkpoint(95).live_buckets[0]
    archive = _open(copy, _GOOD)
    with archive.open_bucket(name, verify=False) as bucket:
        assert bucket.url == str(copy)
        bucket.reject("record 3 is nonsense")
    with archive.open_bucket(name, verify=False) as bucket:
        assert bucket.url == str(_GOOD)
        bucket.reject("nor is this one")
    with pytest.raises(ArchiveFileCorruptError, match=r"record 3 is nonsense.*nor is this one"):
        archive.open_bucket(name, verify=False)


def test_a_missing_bucket_is_missing(copy: Path) -> None:
    archive = _open(copy)
    with pytest.raises(ArchiveFileMissingError, match=f"bucket-{_OTHER_HASH}"):
        archive.open_bucket(_OTHER_HASH)
    assert archive.bucket_sizes([_OTHER_HASH]) == (None,)
    with pytest.raises(UsageError, match="not the name of a bucket"):
        archive.open_bucket("../../etc/passwd")
