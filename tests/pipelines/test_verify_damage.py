"""One thing broken in real ledgers at a time: the ledger and the column are named, and nothing else is."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from stellar_sdk import xdr

from archive_copies import change_state
from aurora_ingest.errors import UnsupportedProtocolError, VerificationError
from aurora_ingest.history_archive.archive_state import parse_archive_state
from aurora_ingest.history_archive.paths import bucket_path, checkpoint_path
from aurora_ingest.network import TESTNET
from aurora_ingest.pipelines.verify_range import require_good
from verification_runs import Verified, change_file, change_stream, record_of, verify

pytestmark = pytest.mark.shared_data

Records = list[bytearray]
LEDGERS = dict[int, bytearray]
FOLDER = "standalone-p19-accel"
HEADER = 32 + 4 + 32  # a header record up to its transaction set's hash: hash, protocol, hash of the ledger before


def _named(verified: Verified, ledger: int, *columns: str) -> None:
    """The report and the error name the ledger and its first bad column."""
    assert verified.bad[ledger] == list(columns)
    assert min(verified.bad) == ledger
    with pytest.raises(VerificationError, match=f"ledger {ledger}: {columns[0]} is bad") as caught:
        require_good(verified.report)
    assert (caught.value.ledger, caught.value.column) == (ledger, columns[0])


# --- Archives ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def archive(shared_data: Path, tmp_path: Path) -> Path:
    """A copy of an archive that may be broken."""
    copy = tmp_path / "archive"
    shutil.copytree(shared_data / FOLDER / "archive", copy)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return copy


def _flip(place: int, record: int = 3) -> Callable[[Records], None]:
    def change(records: Records) -> None:
        records[record][place] ^= 1

    return change


def _flip_of(ledger: int, place: int) -> Callable[[Records], None]:
    def change(records: Records) -> None:
        record_of(records, ledger)[place] ^= 1

    return change


def _forge(records: Records) -> None:
    """Changes the protocol of ledger 43 and gives its header the right hash again."""
    records[3][32 + 3] ^= 1
    records[3][:32] = hashlib.sha256(bytes(records[3][32:-4])).digest()


def _without(ledger: int) -> Callable[[Records], None]:
    return lambda records: records.remove(record_of(records, ledger))


def _exchange(records: Records) -> None:
    """Puts the transactions of ledger 42 into ledger 43 and the other way round."""
    one, other = record_of(records, 42), record_of(records, 43)
    one[4:], other[4:] = other[4:], one[4:]


@pytest.mark.parametrize(
    "category,change,ledger,columns",
    [
        ("ledger", _flip(0), 43, ["header_hash"]),
        ("ledger", _flip(32 + 3), 43, ["header_hash"]),
        ("ledger", _flip(32 + 2), 43, ["header_hash"]),
        ("ledger", _flip(32 + 4), 43, ["header_hash", "chain_link"]),
        ("ledger", _flip(HEADER), 43, ["header_hash", "tx_set_hash", "scp_signature"]),
        ("ledger", _flip(HEADER + 32 + 7), 43, ["header_hash", "scp_signature"]),
        ("ledger", _flip(HEADER + 32 + 8 + 3), 43, ["header_hash"]),
        ("ledger", _flip(-40), 43, ["header_hash"]),
        ("ledger", _forge, 44, ["chain_link"]),
        ("ledger", lambda records: records.pop(3), 43, ["header_hash"]),
        ("ledger", lambda records: records.insert(3, records.pop(4)), 43, ["header_hash"]),
        ("ledger", lambda records: records.append(records[7]), 40, ["header_hash"]),
        ("results", _flip_of(42, 4 + 4), 42, ["result_hash", "transaction_hashes"]),
        ("results", _flip_of(42, 4 + 4 + 32 + 7), 42, ["result_hash"]),
        ("results", _flip_of(42, 4 + 4 + 32 + 8), 42, ["result_hash"]),
        ("results", _without(42), 42, ["result_hash", "transaction_hashes"]),
        ("results", _exchange, 42, ["result_hash", "transaction_hashes"]),
        ("transactions", _flip_of(42, 4), 42, ["tx_set_hash"]),
        ("transactions", _flip_of(42, -8), 42, ["tx_set_hash"]),
        ("transactions", _flip_of(42, 4 + 32 + 4 + 4 + 4 + 8), 42, ["tx_set_hash", "transaction_hashes"]),
        ("transactions", _flip_of(42, 4 + 32 + 4), 42, ["tx_set_hash"]),
        ("transactions", _without(42), 42, ["tx_set_hash", "transaction_hashes"]),
        ("transactions", _exchange, 42, ["tx_set_hash", "transaction_hashes"]),
    ],
)
def test_what_is_broken_in_an_archive_is_named(
    category: str, change: Callable[[Records], object], ledger: int, columns: list[str], archive: Path, tmp_path: Path
) -> None:
    change_file(archive, category, 47, change)
    verified = verify(tmp_path, 33, 63, archive_urls=(str(archive),), read_buckets=False)
    assert verified.bad[ledger] == columns
    _named(verified, ledger, *columns)
    near = {43: {43, 44}, 44: {44}, 42: {42, 43}, 40: {40}}[ledger]
    assert set(verified.bad) <= near


def test_a_lost_file_takes_its_checkpoint_along_and_no_more(archive: Path, tmp_path: Path) -> None:
    (archive / checkpoint_path("results", 47)).unlink()
    verified = verify(tmp_path, 33, 63, archive_urls=(str(archive),), read_buckets=False)
    assert verified.bad == {ledger: ["header_hash"] for ledger in range(40, 48)}
    assert verified.rows[48]["chain_link"] == "absent"
    assert "results-0000002f.xdr.gz: not in the archive" in verified.note(40)


def test_a_damaged_file_is_told_once(archive: Path, tmp_path: Path) -> None:
    path = archive / checkpoint_path("transactions", 47)
    path.write_bytes(path.read_bytes()[:-9])
    verified = verify(tmp_path, 33, 63, archive_urls=(str(archive),), read_buckets=False)
    assert verified.bad == {40: ["header_hash"]}
    assert "transactions-0000002f.xdr.gz" in verified.note(40)
    assert {verified.rows[ledger]["header_hash"] for ledger in range(41, 48)} == {"absent"}


def test_a_second_mirror_has_what_the_first_has_lost(archive: Path, shared_data: Path, tmp_path: Path) -> None:
    (archive / checkpoint_path("results", 47)).unlink()
    mirrors = (str(archive), str(shared_data / FOLDER / "archive"))
    require_good(verify(tmp_path, 33, 63, archive_urls=mirrors).report)


# --- States of an archive ---------------------------------------------------------------------------------------------
def _bucket_of(archive: Path, checkpoint: int) -> str:
    path = archive / checkpoint_path("history", checkpoint)
    return parse_archive_state(path.read_bytes(), path.name).live_buckets()[0]


def test_a_state_of_other_buckets_is_named(archive: Path, tmp_path: Path) -> None:
    other = _bucket_of(archive, 39)
    change_state(archive, 47, lambda state: state["currentBuckets"][0].update(curr=other))
    verified = verify(tmp_path, 33, 63, archive_urls=(str(archive),))
    _named(verified, 47, "bucket_list_hash", "supply")
    assert "the header states" in verified.note(47)


def test_a_state_that_is_lost_is_named(archive: Path, tmp_path: Path) -> None:
    (archive / checkpoint_path("history", 47)).unlink()
    verified = verify(tmp_path, 33, 63, archive_urls=(str(archive),))
    _named(verified, 47, "bucket_list_hash")


@pytest.mark.parametrize("lost", [True, False])
def test_a_bucket_that_is_lost_or_another_one_is_named(lost: bool, archive: Path, tmp_path: Path) -> None:
    path = archive / bucket_path(_bucket_of(archive, 47))
    if lost:
        path.unlink()
    else:
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[len(content) // 2] ^= 1
        path.write_bytes(gzip.compress(bytes(content)))
    verified = verify(tmp_path, 40, 47, archive_urls=(str(archive),))
    _named(verified, 47, "state")
    assert path.name.removesuffix(".xdr.gz").removeprefix("bucket-") in verified.note(47)


# --- Streams ----------------------------------------------------------------------------------------------------------
def _stream(shared_data: Path, tmp_path: Path, change: Callable[[LEDGERS], list[int] | None]) -> Path:
    source = shared_data / FOLDER / "meta/ledger-close-meta.xdr.zst"
    return change_stream(source, tmp_path / "stream.xdr", change)


def _of_stream(shared_data: Path, tmp_path: Path, change: Callable[[LEDGERS], list[int] | None]) -> Verified:
    stream = _stream(shared_data, tmp_path, change)
    archive = shared_data / FOLDER / "archive"
    return verify(tmp_path, 24, 63, ledgers_url=str(stream), archive_urls=(str(archive),))


def _edit(edit: Callable[[xdr.LedgerCloseMetaV0], None]) -> Callable[[LEDGERS], None]:
    """Edits the decoded LedgerCloseMeta of ledger 40."""

    def change(ledgers: LEDGERS) -> None:
        meta = xdr.LedgerCloseMeta.from_xdr_bytes(bytes(ledgers[40]))
        assert meta.v0 is not None
        edit(meta.v0)
        ledgers[40] = bytearray(meta.to_xdr_bytes())

    return change


def _operation_changes(meta: xdr.LedgerCloseMetaV0) -> list[list[xdr.LedgerEntryChange]]:
    found = []
    for transaction in meta.tx_processing:
        applied = transaction.tx_apply_processing.v2
        assert applied is not None
        found += [operation.changes.ledger_entry_changes for operation in applied.operations]
    return found


def _more_native(meta: xdr.LedgerCloseMetaV0) -> None:
    for changes in _operation_changes(meta):
        for change in changes:
            if change.updated and change.updated.data.account:
                change.updated.data.account.balance.int64 += 5
                return


def _later_modified(meta: xdr.LedgerCloseMetaV0) -> None:
    for changes in _operation_changes(meta):
        for change in changes:
            if change.updated and not change.updated.data.account:
                change.updated.last_modified_ledger_seq.uint32 += 1
                return


def _created_less(meta: xdr.LedgerCloseMetaV0) -> None:
    for changes in _operation_changes(meta):
        for place, change in enumerate(changes):
            if change.created and not change.created.data.account:
                del changes[place]
                return


def _more_fee(meta: xdr.LedgerCloseMetaV0) -> None:
    meta.tx_processing[0].result.result.fee_charged.int64 += 1


def _another_fee(meta: xdr.LedgerCloseMetaV0) -> None:
    envelope = meta.tx_set.txs[0].v1 or meta.tx_set.txs[0].v0
    assert envelope is not None
    envelope.tx.fee.uint32 += 1


def _another_signature(meta: xdr.LedgerCloseMetaV0) -> None:
    envelope = meta.tx_set.txs[0].v1 or meta.tx_set.txs[0].v0
    assert envelope is not None
    envelope.signatures[0].signature.signature = bytes(64)


def _another_close_time(meta: xdr.LedgerCloseMetaV0) -> None:
    meta.ledger_header.header.scp_value.close_time.time_point.uint64 += 1


def _another_ledger_before(meta: xdr.LedgerCloseMetaV0) -> None:
    header = meta.ledger_header
    header.header.previous_ledger_hash.hash = bytes(32)
    header.hash.hash = hashlib.sha256(header.header.to_xdr_bytes()).digest()


@pytest.mark.parametrize(
    "edit,ledger,columns,told",
    [
        (_more_native, 40, ["supply"], "-5 are not accounted for"),
        (_later_modified, 47, ["state"], "1 entry differs from the archive's buckets"),
        (_created_less, 47, ["state"], "which only the archive has"),
        (_more_fee, 40, ["result_hash"], "the results hash to"),
        (_another_fee, 40, ["tx_set_hash", "transaction_hashes"], "2 of "),
        (_another_signature, 40, ["tx_set_hash"], "the legacy set hashes to"),
        (_another_close_time, 40, ["header_hash", "scp_signature"], "the header hashes to"),
        (_another_ledger_before, 40, ["chain_link"], "names 0000"),
    ],
)
def test_what_is_changed_in_a_stream_is_named(
    edit: Callable[[xdr.LedgerCloseMetaV0], None],
    ledger: int,
    columns: list[str],
    told: str,
    shared_data: Path,
    tmp_path: Path,
) -> None:
    verified = _of_stream(shared_data, tmp_path, _edit(edit))
    _named(verified, ledger, *columns)
    assert told in verified.note(ledger)


def test_the_entry_that_differs_is_named_with_the_ledger_of_its_last_change(shared_data: Path, tmp_path: Path) -> None:
    note = _of_stream(shared_data, tmp_path, _edit(_later_modified)).note(47)
    assert "last changed in ledger 40, which is another one in the archive" in note
    assert '{"trustline":{"account_id":"G' in note


def test_a_change_that_does_not_start_from_what_was_left_is_named(shared_data: Path, tmp_path: Path) -> None:
    """The balance that ledger 40 left wrong is right again in what a later ledger found."""
    verified = _of_stream(shared_data, tmp_path, _edit(_more_native))
    later = [ledger for ledger, columns in verified.bad.items() if "state" in columns]
    assert min(later) > 40
    assert "does not start from what ledger 40 left" in verified.note(min(later))


def test_changes_of_one_ledger_that_contradict_each_other_are_named(shared_data: Path, tmp_path: Path) -> None:
    def another_fee_paid(meta: xdr.LedgerCloseMetaV0) -> None:
        for change in meta.tx_processing[0].fee_processing.ledger_entry_changes:
            if change.updated and change.updated.data.account:
                change.updated.data.account.seq_num.sequence_number.int64 += 1

    verified = _of_stream(shared_data, tmp_path, _edit(another_fee_paid))
    _named(verified, 40, "state")
    assert "with another image than it was left with" in verified.note(40)
    assert verified.rows[47]["state"] == "absent"


def test_a_ledger_taken_out_of_a_stream_is_named(shared_data: Path, tmp_path: Path) -> None:
    verified = _of_stream(shared_data, tmp_path, lambda ledgers: [n for n in ledgers if n != 40])
    _named(verified, 40, "header_hash")
    assert "ledger 40 is not there: ledger 41 comes next" in verified.note(40)
    assert verified.rows[41]["chain_link"] == "absent"
    assert verified.rows[47]["state"] == "absent"
    assert "1 of 8 ledgers since 39 have no changes" in verified.note(47)
    assert [verified.rows[checkpoint]["state"] for checkpoint in (39, 55, 63)] == ["ok"] * 3


def test_two_ledgers_that_changed_places_in_a_stream_are_named(shared_data: Path, tmp_path: Path) -> None:
    def swapped(ledgers: LEDGERS) -> list[int]:
        order = list(ledgers)
        at = order.index(40)
        return [*order[:at], 41, 40, *order[at + 2 :]]

    _named(_of_stream(shared_data, tmp_path, swapped), 40, "header_hash")


def test_a_stream_cut_off_is_named_at_the_ledger_that_is_not_whole(shared_data: Path, tmp_path: Path) -> None:
    stream = _stream(shared_data, tmp_path, lambda ledgers: [n for n in ledgers if n <= 45])
    stream.write_bytes(stream.read_bytes()[:-100])
    verified = verify(tmp_path, 24, 63, ledgers_url=str(stream))
    _named(verified, 45, "header_hash")
    assert "truncated frame at byte" in verified.note(45)


def test_a_ledger_of_a_newer_protocol_is_not_judged_by_rules_of_older_ones(shared_data: Path, tmp_path: Path) -> None:
    def newer(meta: xdr.LedgerCloseMetaV0) -> None:
        header = meta.ledger_header
        header.header.ledger_version.uint32 = 99
        header.hash.hash = hashlib.sha256(header.header.to_xdr_bytes()).digest()

    with pytest.raises(UnsupportedProtocolError, match="ledger 40 has protocol 99"):
        _of_stream(shared_data, tmp_path, _edit(newer))


def test_the_wrong_network_is_found_by_transactions_and_signatures(shared_data: Path, tmp_path: Path) -> None:
    url = str(shared_data / FOLDER / "meta/ledger-close-meta.xdr.zst")
    verified = verify(tmp_path, 24, 63, ledgers_url=url, network=TESTNET.with_checkpoint_frequency(8))
    assert verified.counts("scp_signature") == {"bad": 40}
    assert "ok" not in verified.counts("transaction_hashes")
    with pytest.raises(VerificationError, match="is it the right network"):
        require_good(verified.report)


# --- Lakes ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def lake(shared_data: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "lake"
    shutil.copytree(shared_data / "lakes/testnet-1410048-1410303", copy)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return copy


def _file_of(lake: Path, ledger: int) -> Path:
    return next(path for path in lake.rglob("*.zst*") if f"--{ledger}." in path.name)


def test_a_file_lost_from_a_lake_is_one_ledger(lake: Path, tmp_path: Path) -> None:
    _file_of(lake, 1410100).unlink()
    verified = verify(tmp_path, 1410090, 1410120, network=TESTNET, ledgers_url=str(lake))
    _named(verified, 1410100, "header_hash")
    assert set(verified.bad) == {1410100}


def test_two_files_of_a_lake_that_changed_places_are_named(lake: Path, tmp_path: Path) -> None:
    one, other = _file_of(lake, 1410100), _file_of(lake, 1410101)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    verified = verify(tmp_path, 1410090, 1410120, network=TESTNET, ledgers_url=str(lake))
    _named(verified, 1410100, "header_hash")
    assert set(verified.bad) == {1410100, 1410101}
