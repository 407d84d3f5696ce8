"""Bad records of a reingest: a damaged file, a ledger that contradicts itself, rows that the database refuses."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from make_lake import ledger_sequence_place

import closed_network
from aurora_ingest._kernel import LedgerDecoder
from aurora_ingest.cli import run
from aurora_ingest.db import history, quarantine
from aurora_ingest.db.engine import connect, is_postgres, writing
from aurora_ingest.db.history_tables import HISTORY_TABLES
from aurora_ingest.errors import LedgerStreamError, RowRejectedError, StateError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.network import TESTNET, Network
from reingesting import data_files, files, ledgers_of, migrated, reingest, tables

_FIRST, _LAST = 1_410_048, 1_410_079
_BAD = _FIRST + 20
_PASSPHRASE = TESTNET.passphrase

pytestmark = pytest.mark.shared_data


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return migrated(f"sqlite:///{tmp_path}/history.db")
    found: str = request.getfixturevalue("postgres_url")
    return migrated(found)


@pytest.fixture
def lake(shared_data: Path, tmp_path: Path) -> Path:
    """A copy of a lake, to be damaged."""
    source, copy = shared_data / "lakes" / "testnet-1410048-1410303", tmp_path / "lake"
    (partition,) = source.glob("*--*")
    (copy / partition.name).mkdir(parents=True)
    shutil.copy(source / ".config.json", copy)
    for ledger in range(_FIRST, _LAST + 1):
        (path,) = partition.glob(f"*--{ledger}.xdr.zst")
        shutil.copy(path, copy / partition.name)
    return copy


@pytest.fixture
def clean(lake: Path, db_url: str, tmp_path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The tables and files of the undamaged lake."""
    folder = tmp_path / "clean"
    reingest(TESTNET, lake, (_FIRST, _LAST), db_url=db_url, parquet=folder, chunk_ledgers=16)
    return tables(db_url), data_files(folder)


def _file(lake: Path, ledger: int) -> Path:
    (path,) = lake.glob(f"*/*--{ledger}.xdr.zst")
    return path


def _forge(lake: Path, ledger: int) -> bytes:
    """Changes the source of the first transaction's envelope, so that it has another hash; returns the ledger."""
    path = _file(lake, ledger)
    with pa.input_stream(str(path), compression="zstd") as stream:
        batch = bytearray(stream.read())
    envelope = struct.pack(">II", 2, 0)  # ENVELOPE_TYPE_TX with an ed25519 source account
    at = batch.index(envelope, 12 + ledger_sequence_place(bytes(batch[12:])))
    batch[at + 8] ^= 1
    path.write_bytes(pa.Codec("zstd").compress(bytes(batch), asbytes=True))
    return bytes(batch[12:])


def _spoilt(ledger: bytes, network: Network, *, changes: bool) -> tuple[bytes, int]:
    """A ledger with one wrong value inside a transaction, whose end stays clear, and the transaction's place."""
    for place in range(3, len(ledger), 4):
        changed = ledger[:place] + bytes([ledger[place] ^ 2]) + ledger[place + 1 :]
        decoder = LedgerDecoder(network_id=network.network_id)
        try:
            decoder.push(changed, tolerant=True)
        except ValueError:
            continue
        unmatched = pa.record_batch(decoder.take()["ledgers"]).column("unmatched_transactions")[0].as_py()
        refused = decoder.take_refused()
        if not unmatched and [each[2] for each in refused] == [changes]:
            return changed, refused[0][1]
    raise AssertionError("no such value")


def _spoil(lake: Path, ledger: int) -> int:
    path = _file(lake, ledger)
    with pa.input_stream(str(path), compression="zstd") as stream:
        batch = stream.read()
    changed, order = _spoilt(batch[12:], TESTNET, changes=False)
    path.write_bytes(pa.Codec("zstd").compress(batch[:12] + changed, asbytes=True))
    return order


def _damage(lake: Path, ledger: int) -> None:
    path = _file(lake, ledger)
    path.write_bytes(path.read_bytes()[:-20])


def _counts(url: str) -> dict[tuple[int, str], tuple[int, int, int]]:
    engine = connect(url)
    with engine.connect() as connection:
        query = "SELECT ledger_sequence, table_name, rows_in, rows_out, quarantined FROM ingest_ledger_counts"
        found = {(row[0], row[1]): tuple(row[2:]) for row in connection.exec_driver_sql(query)}
    engine.dispose()
    return found


def _held(url: str) -> list[quarantine.Quarantined]:
    engine = connect(url)
    with engine.connect() as connection:
        held = list(quarantine.held(connection))
    engine.dispose()
    return held


def _assert_counts_fit_the_tables(url: str) -> None:
    engine = connect(url)
    with engine.connect() as connection:
        stored = {
            table: connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() for table in HISTORY_TABLES
        }
        receipts = connection.exec_driver_sql("SELECT rows, quarantined FROM ingest_history_chunks").all()
    engine.dispose()
    counts, held = _counts(url), _held(url)
    assert all(came == out + kept for came, out, kept in counts.values())
    assert {ledger for ledger, _ in counts} == set(range(_FIRST, _LAST + 1))
    for table, rows in stored.items():
        of_table = [count for (_, name), count in counts.items() if name == table]
        assert sum(out for _, out, _ in of_table) == rows
        assert sum(kept for _, _, kept in of_table) == sum(each.table == table for each in held)
        assert sum(json.loads(receipt[0])[table] for receipt in receipts) == rows
    assert sum(receipt[1] for receipt in receipts) == len(held)


def _redrive(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str]:
    code = run(["redrive", "--network", "testnet", *map(str, words)])
    return code, capsys.readouterr().out.strip()


def test_by_default_a_bad_ledger_stops_its_chunk(lake: Path, tmp_path: Path) -> None:
    url = migrated(f"sqlite:///{tmp_path}/history.db")
    _forge(lake, _BAD)
    expected = rf"chunk {_FIRST + 16}-{_FIRST + 31}: ledger {_BAD}: 2 of its transactions and results do not belong"
    with pytest.raises(StateError, match=expected):
        reingest(TESTNET, lake, (_FIRST, _LAST), db_url=url, parquet=tmp_path / "parquet", chunk_ledgers=16)
    assert not set(ledgers_of(url)) & set(range(_FIRST + 16, _FIRST + 32))
    assert not list((tmp_path / "parquet").rglob("*.draft"))
    _damage(lake, _BAD)
    with pytest.raises(LedgerStreamError, match=rf"chunk {_FIRST + 16}-{_FIRST + 31}: .*--{_BAD}\.xdr\.zst"):
        reingest(TESTNET, lake, (_FIRST, _LAST), db_url=url, chunk_ledgers=16)


def test_a_ledger_that_contradicts_itself_is_kept_whole(
    lake: Path, db_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = _forge(lake, _BAD)
    folder = tmp_path / "parquet"
    for _ in range(2):
        reingest(TESTNET, lake, (_FIRST, _LAST), db_url=db_url, parquet=folder, chunk_ledgers=16, keep_going=True)
        held = _held(db_url)
        assert {(each.ledger, each.table, each.kind, each.raw) for each in held} == {
            (_BAD, table, quarantine.LEDGER, raw) for table in HISTORY_TABLES
        }
        assert ledgers_of(db_url) == [ledger for ledger in range(_FIRST, _LAST + 1) if ledger != _BAD]
        _assert_counts_fit_the_tables(db_url)
    (path,) = (folder / "ingest_quarantine").glob("*/history_operations.parquet")
    (row,) = pq.read_table(path).to_pylist()
    assert (row["ledger_sequence"], row["raw"]) == (_BAD, raw)
    before = tables(db_url), files(folder)
    assert _redrive(capsys, "--db-url", db_url, "--parquet", folder) == (
        1,
        "0 records left the quarantine, 10 stayed in it",
    )
    assert (tables(db_url), files(folder)) == before


def test_a_transaction_that_does_not_decode_is_kept_alone(
    lake: Path,
    db_url: str,
    clean: tuple[dict[str, str], dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, whole, rows = tmp_path / "parquet", tmp_path / "whole", _counts(db_url)
    shutil.copytree(lake, whole)
    bad = {ledger: _spoil(lake, ledger) for ledger in (_FIRST, _BAD)}
    with pytest.raises(StateError, match=rf"ledger {_BAD} does not decode: "):
        reingest(TESTNET, lake, (_BAD, _LAST), db_url=db_url, chunk_ledgers=16)
    for _ in range(2):
        reingest(TESTNET, lake, (_FIRST, _LAST), db_url=db_url, parquet=folder, chunk_ledgers=16, keep_going=True)
        assert ledgers_of(db_url) == list(range(_FIRST, _LAST + 1))
        _assert_counts_fit_the_tables(db_url)
    held = _held(db_url)
    of_transactions = {"history_transactions", "history_operations", "history_contract_events"}
    assert {each.table for each in held} == of_transactions  # changes that can be read are written
    assert {(each.ledger, each.position, each.kind) for each in held} == {
        (ledger, order, quarantine.TRANSACTION) for ledger, order in bad.items()
    }
    assert all(each.reason.startswith(f"transaction {bad[each.ledger]}: ") for each in held)
    for ledger, order in bad.items():
        came, out, kept = _counts(db_url)[ledger, "history_transactions"]
        assert (came, kept) == (rows[ledger, "history_transactions"][0], 1)
        assert out == came - 1
        assert _orders(db_url, ledger) == [each for each in range(1, came + 1) if each != order]
    before = tables(db_url), files(folder)
    words = ("--db-url", db_url, "--parquet", folder)
    assert _redrive(capsys, *words) == (1, "0 records left the quarantine, 12 stayed in it")
    assert (tables(db_url), files(folder)) == before
    only = ("--tables", "history_operations", "--from", _BAD, "--ledgers", f"file://{whole}")
    assert _redrive(capsys, "--db-url", db_url, *only) == (0, "1 records left the quarantine, 0 stayed in it")
    _assert_counts_fit_the_tables(db_url)
    assert _redrive(capsys, *words, "--ledgers", f"file://{whole}") == (
        0,
        "11 records left the quarantine, 0 stayed in it",
    )
    _assert_counts_fit_the_tables(db_url)
    assert (tables(db_url), data_files(folder)) == clean
    assert not list((folder / "ingest_quarantine").glob("*/*.parquet"))


def test_changes_that_do_not_decode_are_kept_with_their_transaction(tmp_path: Path) -> None:
    url, network = migrated(f"sqlite:///{tmp_path}/history.db"), closed_network.NETWORK
    ledgers = dict(closed_network.ledgers())
    ledgers[70], order = _spoilt(ledgers[70], network, changes=True)
    path = tmp_path / "spoilt.xdr"
    path.write_bytes(b"".join((len(each) | 0x8000_0000).to_bytes(4, "big") + each for each in ledgers.values()))
    reingest(network, path, (69, 71), db_url=url, keep_going=True)
    held = _held(url)
    assert {(each.ledger, each.position, each.kind) for each in held} == {(70, order, quarantine.TRANSACTION)}
    assert {each.table for each in held} == {*HISTORY_TABLES} - {"history_ledgers"}
    assert all(each.raw == ledgers[70] for each in held)
    engine = connect(url)
    with engine.connect() as connection:
        query = "SELECT DISTINCT transaction_id FROM ledger_entry_changes WHERE ledger_sequence = 70"
        orders = {each >> 12 & 0xFFFFF for each in connection.exec_driver_sql(query).scalars() if each is not None}
    engine.dispose()
    assert orders
    assert order not in orders
    assert _counts(url)[70, "ledger_entry_changes"][2] == 1


def _orders(url: str, ledger: int) -> list[int]:
    engine = connect(url)
    with engine.connect() as connection:
        query = f"SELECT application_order FROM history_transactions WHERE ledger_sequence = {ledger} ORDER BY 1"
        found = list(connection.exec_driver_sql(query).scalars())
    engine.dispose()
    return found


def test_what_was_refused_by_mistake_is_stored_by_a_redrive(
    lake: Path,
    db_url: str,
    clean: tuple[dict[str, str], dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "parquet"
    with monkeypatch.context() as patch:
        refuse = {ledger: StateError("not understood yet") for ledger in (_BAD, _LAST)}
        patch.setattr("aurora_ingest.transforms.read_ledgers.faults", lambda ledgers, network: _of(ledgers, refuse))
        reingest(TESTNET, lake, (_FIRST, _LAST), db_url=db_url, parquet=folder, chunk_ledgers=16, keep_going=True)
    assert len(_held(db_url)) == 10
    assert {each.reason for each in _held(db_url)} == {"not understood yet"}
    assert _redrive(capsys, "--db-url", db_url, "--to", _BAD, "--json") == (0, '{"mended": 5, "stayed": 0}')
    _assert_counts_fit_the_tables(db_url)
    assert _redrive(capsys, "--db-url", db_url, "--parquet", folder, "--json") == (0, '{"mended": 15, "stayed": 0}')
    _assert_counts_fit_the_tables(db_url)
    assert (tables(db_url), data_files(folder)) == clean
    assert not list((folder / "ingest_quarantine").glob("*/*.parquet"))


def _of(ledgers: pa.RecordBatch, refuse: dict[int, StateError]) -> dict[int, StateError]:
    there = set(ledgers.column("ledger_sequence").to_pylist())
    return {ledger: error for ledger, error in refuse.items() if ledger in there}


def test_a_damaged_file_is_stepped_over_and_read_anew(
    lake: Path,
    db_url: str,
    clean: tuple[dict[str, str], dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, whole = tmp_path / "parquet", tmp_path / "whole"
    shutil.copytree(lake, whole)
    for ledger in (_FIRST, _BAD, _BAD + 1):
        _damage(lake, ledger)
    reingest(TESTNET, lake, (_FIRST, _LAST), db_url=db_url, parquet=folder, chunk_ledgers=16, keep_going=True)
    assert {(each.ledger, each.raw) for each in _held(db_url)} == {(ledger, b"") for ledger in (_FIRST, _BAD, _BAD + 1)}
    assert f"--{_BAD}.xdr.zst" in next(each.reason for each in _held(db_url) if each.ledger == _BAD)
    _assert_counts_fit_the_tables(db_url)
    assert _redrive(capsys, "--db-url", db_url) == (1, "0 records left the quarantine, 15 stayed in it")
    words = ("--db-url", db_url, "--parquet", folder, "--ledgers", f"file://{whole}")
    assert _redrive(capsys, *words) == (0, "30 records left the quarantine, 0 stayed in it")
    assert (tables(db_url), data_files(folder)) == clean


def test_rows_that_the_database_refuses(
    lake: Path,
    db_url: str,
    clean: tuple[dict[str, str], dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine = connect(db_url)
    with writing(engine) as connection:
        ids = connection.exec_driver_sql("SELECT id FROM history_transactions ORDER BY id").scalars().all()
        bad = [ids[0], ids[7], ids[8], ids[-1]]
        listed = ", ".join(map(str, bad))
        if is_postgres(connection):
            history.delete_ledgers(connection, ["history_transactions"], LedgerRange(_FIRST, _LAST))
            connection.exec_driver_sql(
                f"ALTER TABLE history_transactions ADD CONSTRAINT picky CHECK (id NOT IN ({listed}))"
            )
        else:
            connection.exec_driver_sql(
                f"CREATE TRIGGER picky BEFORE INSERT ON history_transactions WHEN NEW.id IN ({listed}) "
                "BEGIN SELECT RAISE(ABORT, 'picky'); END"
            )
    with pytest.raises(RowRejectedError, match=rf"chunk {_FIRST}-{_FIRST + 15}: table history_transactions: .*picky"):
        reingest(TESTNET, lake, (_FIRST, _LAST), db_url=db_url, chunk_ledgers=16)
    reingest(TESTNET, lake, (_FIRST, _LAST), db_url=db_url, chunk_ledgers=16, keep_going=True)
    assert [(each.ledger, each.kind) for each in _held(db_url)] == [(number >> 32, quarantine.ROW) for number in bad]
    assert [quarantine.row_of(each)["id"][0].as_py() for each in _held(db_url)] == bad
    _assert_counts_fit_the_tables(db_url)
    assert _redrive(capsys, "--db-url", db_url) == (1, "0 records left the quarantine, 4 stayed in it")
    with writing(engine) as connection:
        sqlite, postgres = "DROP TRIGGER picky", "ALTER TABLE history_transactions DROP CONSTRAINT picky"
        connection.exec_driver_sql(postgres if is_postgres(connection) else sqlite)
    engine.dispose()
    assert _redrive(capsys, "--db-url", db_url) == (0, "4 records left the quarantine, 0 stayed in it")
    _assert_counts_fit_the_tables(db_url)
    assert tables(db_url) == clean[0]
