"""Ledgers out of history archives: real ones wholly, and each way in which their files can disagree."""

from __future__ import annotations

import gzip
import pickle
import shutil
import struct
import tarfile
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from aurora_ingest import _kernel
from aurora_ingest.errors import (
    ArchiveFileCorruptError,
    AuroraError,
    HashMismatchError,
    LedgerStreamError,
    MissingLedgersError,
    NetworkMismatchError,
)
from aurora_ingest.history_archive.paths import checkpoint_path
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.archive_files import ArchiveFiles
from aurora_ingest.ledger_backend.backend import BackendOptions, readable_range
from aurora_ingest.network import PUBNET, STANDALONE, TESTNET, Network
from ledger_backend.origins import framed, frames
from ledger_backend.reading import read_until

_ACCEL = STANDALONE.with_checkpoint_frequency(8)
_NO_WAIT = BackendOptions(retry=RetryPolicy(rounds=1))
_COLUMNS = (
    "ledger_sequence", "ledger_hash", "computed_hash", "tx_set_hash", "computed_tx_set_hash", "tx_set_kind",
    "result_hash", "computed_result_hash", "tx_set_size", "transaction_count", "unmatched_transactions",
)  # fmt: skip


@pytest.fixture
def small(shared_data: Path) -> Path:
    """The archive with a checkpoint every 8 ledgers."""
    return shared_data / "standalone-p19-accel" / "archive"


def _ledgers(backend: ArchiveFiles, ledgers: LedgerRange) -> pa.RecordBatch:
    """The kernel's table `ledgers` of the range."""
    decoder = _kernel.LedgerDecoder(network_id=backend.network.network_id, columns={"ledgers": _COLUMNS})
    sequences = []
    for raw in backend.read(ledgers):
        assert not raw.has_meta
        sequences.append(decoder.push(raw.data, has_meta=raw.has_meta))
    assert sequences == list(ledgers)
    return pa.record_batch(decoder.take()["ledgers"])


def _unpack(shared_data: Path, name: str, folder: Path) -> Path:
    with tarfile.open(shared_data / "public" / "stellar-archivist" / f"{name}.tar") as archive:
        archive.extractall(folder, filter="data")
    return next(folder.rglob(".well-known")).parent


@pytest.mark.parametrize(
    "name, network, ledgers",
    [
        ("testnet-archive-1-8063", TESTNET, LedgerRange(1, 8063)),
        ("pubnet-archive-11999936-12001023", PUBNET, LedgerRange(11999936, 12001023)),
        ("standalone-p19", STANDALONE, LedgerRange(1, 383)),
        ("standalone-p19-accel", _ACCEL, LedgerRange(1, 95)),
        ("standalone-p23", STANDALONE, LedgerRange(1, 255)),
    ],
)
def test_every_hash_of_a_real_archive_comes_out_again(
    shared_data: Path, tmp_path: Path, name: str, network: Network, ledgers: LedgerRange
) -> None:
    """Headers, sets (empty ones, whose record is absent, included) and results are those that the headers name."""
    folder = (
        _unpack(shared_data, name, tmp_path)
        if name.startswith(("testnet", "pubnet"))
        else shared_data / name / "archive"
    )
    backend = pickle.loads(pickle.dumps(ArchiveFiles([str(folder)], network)))  # noqa: S301
    backend.check(ledgers)
    assert backend.available() == LedgerRange(1, ledgers.last)
    table = _ledgers(backend, ledgers)
    assert table["computed_hash"] == table["ledger_hash"]
    closed = table.filter(pc.greater(table["ledger_sequence"], 1))
    assert closed["computed_tx_set_hash"] == closed["tx_set_hash"]
    assert closed["computed_result_hash"] == closed["result_hash"]
    assert pc.sum(table["unmatched_transactions"]).as_py() == 0
    empty = pc.sum(pc.equal(table["tx_set_size"], 0)).as_py()
    assert 0 < empty < len(ledgers)


@pytest.mark.parametrize("network, name", [(STANDALONE, "standalone-p19"), (STANDALONE, "standalone-p23")])
def test_headers_sets_and_results_are_those_of_the_stream(shared_data: Path, network: Network, name: str) -> None:
    from aurora_ingest.ledger_backend.meta_stream import MetaStream

    archive = ArchiveFiles([str(shared_data / name / "archive")], network)
    wanted = LedgerRange(2, archive.available().last)
    stream = MetaStream(str(shared_data / name / "meta" / "ledger-close-meta.xdr.zst"), network)
    columns = {
        "ledgers": _COLUMNS,
        "transactions": ("id", "transaction_hash", "envelope_xdr", "result_xdr", "meta_xdr"),
    }
    tables = []
    for source in (archive, stream):
        decoder = _kernel.LedgerDecoder(network_id=network.network_id, columns=columns)
        for raw in source.read(wanted):  # type: ignore[attr-defined]
            decoder.push(raw.data, has_meta=raw.has_meta)
        tables.append({name: pa.record_batch(batch) for name, batch in decoder.take().items()})
    ours, theirs = tables
    assert ours["ledgers"] == theirs["ledgers"]
    assert ours["transactions"]["meta_xdr"].null_count == ours["transactions"].num_rows > 0
    assert ours["transactions"].drop_columns("meta_xdr") == theirs["transactions"].drop_columns("meta_xdr")


@pytest.mark.parametrize("ledgers", [(1, 1), (1, 2), (7, 8), (8, 15), (15, 16), (2, 95), (95, 95), (30, 33)])
def test_a_range_is_exact(small: Path, ledgers: tuple[int, int]) -> None:
    backend = ArchiveFiles([str(small)], _ACCEL, _NO_WAIT)
    wanted = LedgerRange(*ledgers)
    assert [raw.sequence for raw in backend.read(wanted)] == list(wanted)


def test_ledger_1_comes_from_its_header(small: Path) -> None:
    backend = ArchiveFiles([str(small)], _ACCEL, _NO_WAIT)
    wanted, told = readable_range(backend, LedgerRange(1, 9))
    assert wanted == LedgerRange(1, 9)
    assert "ledger 1 (genesis) comes from history archive" in told
    table = _ledgers(backend, LedgerRange(1, 1))
    assert table["transaction_count"].to_pylist() == [0]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing."""


def test_over_http(small: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(small))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            backend = ArchiveFiles([f"http://127.0.0.1:{server.server_port}"], _ACCEL, _NO_WAIT)
            backend.check(LedgerRange(1, 95))
            assert [raw.sequence for raw in backend.read(LedgerRange(1, 95))] == list(range(1, 96))
        finally:
            server.shutdown()
            thread.join()


# --- Broken copies ---------------------------------------------------------------------------------------------------
@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    """A copy of the small archive that a test may break."""
    folder = shutil.copytree(small, tmp_path / "archive")
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def _change(folder: Path, category: str, change: Callable[[list[bytes]], list[bytes]], checkpoint: int = 31) -> None:
    path = folder / checkpoint_path(category, checkpoint)
    records = change(list(frames(gzip.decompress(path.read_bytes()))))
    path.write_bytes(gzip.compress(b"".join(map(framed, records))))


def _number(record: bytes) -> int:
    number: int = struct.unpack_from(">I", record)[0]
    return number


def _without(ledger: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda records: [record for record in records if _number(record) != ledger]


def _busy(folder: Path, checkpoint: int = 31) -> int:
    """A ledger with transactions, in the middle of the checkpoint."""
    path = folder / checkpoint_path("transactions", checkpoint)
    numbers = [_number(record) for record in frames(gzip.decompress(path.read_bytes()))]
    return numbers[len(numbers) // 2]


def _flip(records: list[bytes], place: int, record: int = 4) -> list[bytes]:
    body = bytearray(records[record])
    body[place] ^= 1
    return [*records[:record], bytes(body), *records[record + 1 :]]


def _read(folder: Path, **options: bool) -> list[int]:
    backend = ArchiveFiles([str(folder)], _ACCEL, replace(_NO_WAIT, **options))
    return [raw.sequence for raw in backend.read(LedgerRange(1, 95))]


def test_missing_records_are_told(copy: Path) -> None:
    ledger = _busy(copy)
    _change(copy, "transactions", _without(ledger))
    with pytest.raises(LedgerStreamError, match=f"ledger {ledger} in .*no transaction set, but the header names"):
        _read(copy)
    assert _read(copy, judge_sets=False) == list(range(1, 96)), "a verifier judges by itself"
    _change(copy, "results", _without(ledger))
    with pytest.raises(LedgerStreamError, match=f"ledger {ledger} in .*no transaction set, but the header names"):
        _read(copy)


def test_missing_results_are_told(copy: Path) -> None:
    ledger = _busy(copy)
    _change(copy, "results", _without(ledger))
    with pytest.raises(LedgerStreamError, match=f"ledger {ledger} in .*a transaction set without results"):
        _read(copy)
    assert _read(copy, judge_sets=False) == list(range(1, 96))


@pytest.mark.parametrize("judge", [True, False])
@pytest.mark.parametrize("category", ["transactions", "results"])
def test_records_out_of_order_are_told(copy: Path, category: str, judge: bool) -> None:
    _change(copy, category, lambda records: [records[1], records[0], *records[2:]])
    with pytest.raises(ArchiveFileCorruptError, match="record 1 is of ledger 24, expected one of 26-31"):
        _read(copy, judge_sets=judge)


@pytest.mark.parametrize("judge", [True, False])
def test_headers_that_are_swapped_or_missing_are_told(copy: Path, judge: bool) -> None:
    _change(copy, "ledger", lambda records: [*records[:3], records[4], records[3], *records[5:]])
    with pytest.raises(ArchiveFileCorruptError, match="ledger-0000001f"):
        _read(copy, judge_sets=judge)
    _change(copy, "ledger", lambda records: records[:-1])
    with pytest.raises(ArchiveFileCorruptError, match="ledger-0000001f"):
        _read(copy, judge_sets=judge)


def test_a_flipped_header_is_found(copy: Path) -> None:
    _change(copy, "ledger", lambda records: _flip(records, 32 + 4 + 32 + 35))  # in the close time
    with pytest.raises((HashMismatchError, ArchiveFileCorruptError)):
        _read(copy)


def test_a_damaged_file_is_told(copy: Path, small: Path) -> None:
    path = copy / checkpoint_path("results", 31)
    path.write_bytes(path.read_bytes()[:-10])
    given, error = read_until(AuroraError, ArchiveFiles([str(copy)], _ACCEL, _NO_WAIT).read(LedgerRange(1, 95)))
    assert given == list(range(1, 24))
    assert "results-0000001f.xdr.gz" in str(error)
    whole = gzip.decompress((small / checkpoint_path("results", 31)).read_bytes())
    path.write_bytes(gzip.compress(whole[:-3]))
    with pytest.raises(ArchiveFileCorruptError, match=r"claims .* bytes, .* are left"):
        _read(copy)


def test_a_good_mirror_helps_out(copy: Path, small: Path) -> None:
    path = copy / checkpoint_path("transactions", 31)
    path.write_bytes(path.read_bytes()[:-10])
    backend = ArchiveFiles([str(copy), str(small)], _ACCEL, _NO_WAIT)
    assert [raw.sequence for raw in backend.read(LedgerRange(1, 95))] == list(range(1, 96))


@pytest.mark.parametrize("category", ["ledger", "transactions", "results"])
def test_missing_files_are_holes(copy: Path, category: str) -> None:
    for checkpoint in (31, 39):
        (copy / checkpoint_path(category, checkpoint)).unlink()
    backend = ArchiveFiles([str(copy)], _ACCEL, _NO_WAIT)
    with pytest.raises(MissingLedgersError, match="14 ledgers are not there: 26-39") as checked:
        backend.check(LedgerRange(26, 90))
    assert checked.value.ranges == (LedgerRange(26, 39),)
    given, error = read_until(MissingLedgersError, backend.read(LedgerRange(20, 90)), f"{category}-0000001f")
    assert given == [20, 21, 22, 23]
    assert error.ranges == (LedgerRange(24, 31),)


def test_beyond_the_newest_checkpoint(small: Path) -> None:
    backend = ArchiveFiles([str(small)], _ACCEL, _NO_WAIT)
    with pytest.raises(MissingLedgersError, match="its newest checkpoint is 95") as error:
        backend.check(LedgerRange(90, 100))
    assert error.value.ranges == (LedgerRange(96, 100),)


def test_following_waits_for_the_next_checkpoint(copy: Path) -> None:
    root = copy / ".well-known" / "stellar-history.json"
    states = [(copy / checkpoint_path("history", checkpoint)).read_bytes() for checkpoint in (79, 87, 95)]
    root.write_bytes(states.pop(0))
    waits: list[float] = []

    def publish(seconds: float) -> None:
        waits.append(seconds)
        root.write_bytes(states.pop(0))

    backend = ArchiveFiles([str(copy)], _ACCEL, replace(_NO_WAIT, sleep=publish))
    given: list[int] = []
    for raw in backend.follow(70, lambda: len(given) == 26):
        given.append(raw.sequence)  # noqa: PERF401 - the stop condition looks at it
    assert given == list(range(70, 96))
    assert len(waits) == 2


def test_another_network_is_refused(small: Path) -> None:
    other = TESTNET.with_checkpoint_frequency(8)
    with pytest.raises(NetworkMismatchError):
        ArchiveFiles([str(small)], other, _NO_WAIT).check(LedgerRange(1, 95))
