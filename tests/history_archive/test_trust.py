"""Headers broken at every link of their chain, and trusted ledgers before and after the checkpoint."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from archive_copies import GOOD, OTHER_HASH, change_headers, open_archive
from aurora_ingest.errors import (
    ArchiveError,
    ArchiveFileCorruptError,
    ArchiveFileMissingError,
    HashMismatchError,
    UnsupportedProtocolError,
    UsageError,
)
from aurora_ingest.history_archive.paths import checkpoint_path


# --- Broken headers ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_flipped_bit_in_a_ledger_file_is_found(copy: Path, place: float) -> None:
    path = copy / checkpoint_path("ledger", 95)
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 4
    path.write_bytes(bytes(data))
    with pytest.raises((ArchiveFileCorruptError, HashMismatchError), match="ledger-0000005f"):
        open_archive(copy).verify_checkpoint(95)
    assert open_archive(copy, GOOD).verify_checkpoint(95) == open_archive(GOOD).verify_checkpoint(95)


@pytest.mark.parametrize("record", range(8))
def test_a_header_changed_and_compressed_again_does_not_meet_its_hash(copy: Path, record: int) -> None:
    def change(records: list[bytearray]) -> None:
        records[record][32 + 4 + 32 + 3] ^= 1  # the first field after the previous hash: the tx set's hash

    change_headers(copy, 95, change)
    with pytest.raises(HashMismatchError, match=f"header of ledger {88 + record} hashes to") as caught:
        open_archive(copy).verify_checkpoint(95)
    assert caught.value.expected != caught.value.computed
    assert caught.value.file == checkpoint_path("ledger", 95)


def test_a_header_forged_with_its_hash_breaks_the_chain(copy: Path) -> None:
    def change(records: list[bytearray]) -> None:
        record = records[3]
        record[32 + 4 + 32 + 3] ^= 1
        record[:32] = hashlib.sha256(bytes(record[32:-4])).digest()  # 4 bytes of extension follow the header

    change_headers(copy, 95, change)
    with pytest.raises(HashMismatchError, match=r"ledger 92 names [0-9a-f]{64} as the hash of ledger 91"):
        open_archive(copy).verify_checkpoint(95)


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
    change_headers(copy, 95, change)
    with pytest.raises(ArchiveFileCorruptError, match=message):
        open_archive(copy).verify_checkpoint(95)


def test_a_newer_protocol_is_refused_before_anything_is_decoded(copy: Path) -> None:
    def change(records: list[bytearray]) -> None:
        records[-1] = records[-1][:32] + (99).to_bytes(4, "big") + b"what no one can decode"

    change_headers(copy, 95, change)
    with pytest.raises(UnsupportedProtocolError, match="ledger 95 has protocol 99"):
        open_archive(copy).verify_checkpoint(95)


def test_a_ledger_file_that_inflates_without_end_is_refused(copy: Path) -> None:
    (copy / checkpoint_path("ledger", 95)).write_bytes(gzip.compress(bytes(65 << 20), 9))
    with pytest.raises(ArchiveFileCorruptError, match="inflates to more than"):
        open_archive(copy).verify_checkpoint(95)


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_a_ledger_file_cut_short_is_refused(copy: Path, cut: int) -> None:
    path = copy / checkpoint_path("ledger", 95)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ArchiveFileCorruptError, match="gzip cut short"):
        open_archive(copy).verify_checkpoint(95)


def test_a_missing_ledger_file_is_missing(copy: Path) -> None:
    (copy / checkpoint_path("ledger", 95)).unlink()
    with pytest.raises(ArchiveFileMissingError, match="ledger-0000005f") as caught:
        open_archive(copy).verify_checkpoint(95)
    assert caught.value.mirrors == {str(copy): "no such file"}
    assert open_archive(copy, GOOD).verify_checkpoint(95).checkpoint == 95


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveFileMissingError, match=r"nowhere does not exist"):
        open_archive(tmp_path / "nowhere").root_state()


def test_a_folder_in_a_files_place_is_refused(copy: Path) -> None:
    path = copy / checkpoint_path("ledger", 95)
    path.unlink()
    path.mkdir()
    with pytest.raises(ArchiveError, match="Is a directory"):
        open_archive(copy).verify_checkpoint(95)


# --- Trusted ledgers --------------------------------------------------------------------------------------------------
def _hash_of(ledger: int) -> str:
    checkpoint = ledger // 8 * 8 + 7
    headers = open_archive(GOOD).headers(checkpoint)
    return headers[ledger - headers[0].sequence].ledger_hash


@pytest.mark.parametrize("ledger", [88, 91, 95, 87, 50, 8, 7, 1])
@pytest.mark.parametrize("checkpoint", [95, 47, 7])
def test_a_right_trusted_ledger_proves_checkpoints_before_and_after(ledger: int, checkpoint: int) -> None:
    archive = open_archive(GOOD)
    trusted = (ledger, _hash_of(ledger).upper())
    assert archive.verify_checkpoint(checkpoint, trusted) == archive.verify_checkpoint(checkpoint)


@pytest.mark.parametrize("ledger", [88, 95, 87, 20, 1])
def test_a_wrong_trusted_ledger_disproves_the_archive(ledger: int) -> None:
    with pytest.raises(HashMismatchError, match=f"ledger {ledger} has hash") as caught:
        open_archive(GOOD).verify_checkpoint(95, (ledger, OTHER_HASH))
    assert caught.value.expected == OTHER_HASH
    assert caught.value.computed == _hash_of(ledger)


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "ab" * 33])
def test_a_trusted_hash_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="trusted ledger 95"):
        open_archive(GOOD).verify_checkpoint(95, (95, text))


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
    change_headers(copy, 71, _forge_chain)
    archive = open_archive(copy)
    assert len(archive.headers(71)) == 8  # right in itself
    with pytest.raises(HashMismatchError, match="as the hash of ledger 71"):
        archive.verify_checkpoint(checkpoint, (trusted, _hash_of(trusted)))


@pytest.mark.parametrize("trusted,checkpoint", [(95, 47), (20, 95)])
def test_a_good_mirror_mends_the_walk_over_a_forged_chain(copy: Path, trusted: int, checkpoint: int) -> None:
    change_headers(copy, 71, _forge_chain)
    proven = open_archive(copy, GOOD).verify_checkpoint(checkpoint, (trusted, _hash_of(trusted)))
    assert proven == open_archive(GOOD).verify_checkpoint(checkpoint)


def test_a_hole_in_the_walk_says_what_it_was_needed_for(copy: Path) -> None:
    (copy / checkpoint_path("ledger", 71)).unlink()
    with pytest.raises(ArchiveFileMissingError, match="needed to reach checkpoint 47 from trusted ledger 95"):
        open_archive(copy).verify_checkpoint(47, (95, _hash_of(95)))
