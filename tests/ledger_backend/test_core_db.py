"""stellar-core's database: SQLite as core left it, the same in PostgreSQL, and what may be wrong with one."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from aurora_ingest.errors import (
    AuroraError,
    BackendError,
    LedgerStreamError,
    MissingLedgersError,
    NetworkMismatchError,
    UsageError,
)
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import BackendOptions, readable_range
from aurora_ingest.ledger_backend.core_db import CoreDatabaseBackend
from aurora_ingest.network import STANDALONE, TESTNET
from ledger_backend.origins import unpacked
from ledger_backend.reading import read_until

_WHOLE = LedgerRange(2, 400)
_TABLES = ("ledgerheaders", "txhistory", "txfeehistory", "upgradehistory", "storestate")


@pytest.fixture(scope="session")
def core_file(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Core's SQLite database of standalone-p19, read only."""
    path = tmp_path_factory.mktemp("core") / "core.db"
    path.write_bytes(unpacked(shared_data / "standalone-p19" / "oracle" / "stellar-core.sqlite.zst"))
    path.chmod(0o444)
    return path


@pytest.fixture
def broken(core_file: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A copy that a test may break."""
    with sqlite3.connect(core_file) as origin:
        connection = sqlite3.connect(tmp_path / "core.db", isolation_level=None)
        origin.backup(connection)
    origin.close()
    yield connection
    connection.close()


def _backend(tmp_path: Path, options: BackendOptions | None = None) -> CoreDatabaseBackend:
    return CoreDatabaseBackend(f"sqlite:///{tmp_path / 'core.db'}", STANDALONE, options)


def test_the_database_gives_what_core_streamed(core_file: Path, core_ledgers: dict[int, bytes]) -> None:
    before = (core_file.read_bytes(), sorted(path.name for path in core_file.parent.iterdir()))
    url = f"sqlite:///{core_file}"
    backend = pickle.loads(pickle.dumps(CoreDatabaseBackend(url, STANDALONE)))  # noqa: S301
    backend.check(_WHOLE)
    assert backend.available() == LedgerRange(1, 400)
    found = list(backend.read(_WHOLE))
    assert [raw.sequence for raw in found] == list(_WHOLE)
    assert all(raw.has_meta and raw.has_set for raw in found)
    # Byte for byte, so headers, sets, results, upgrades and changes alike, in order.
    assert {raw.sequence: raw.data for raw in found} == core_ledgers
    assert found[5].origin == f"ledger 7 of core database {url}"
    assert before == (core_file.read_bytes(), sorted(path.name for path in core_file.parent.iterdir()))


@pytest.mark.parametrize("ledgers", [(1, 1), (3, 3), (31, 33), (32, 63), (33, 98), (400, 400)])
def test_a_range_is_exact(core_file: Path, core_ledgers: dict[int, bytes], ledgers: tuple[int, int]) -> None:
    wanted = LedgerRange(*ledgers)
    found = {raw.sequence: raw.data for raw in CoreDatabaseBackend(f"sqlite:///{core_file}", STANDALONE).read(wanted)}
    assert list(found) == list(wanted)
    assert {n: data for n, data in found.items() if n > 1} == {n: core_ledgers[n] for n in wanted if n > 1}


def test_ledger_1_comes_from_its_header(core_file: Path) -> None:
    wanted, told = readable_range(CoreDatabaseBackend(f"sqlite:///{core_file}", STANDALONE), LedgerRange(1, 9))
    assert wanted == LedgerRange(1, 9)
    assert "ledger 1 (genesis) comes from core database" in told


@pytest.mark.postgres
def test_postgres_gives_the_same(core_file: Path, core_ledgers: dict[int, bytes], postgres_url: str) -> None:
    with sqlite3.connect(core_file) as origin, psycopg.connect(postgres_url, autocommit=True) as target:
        for table in _TABLES:
            (text,) = origin.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            target.execute(text.replace(" INT ", " BIGINT "))
            with target.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                # The other entries of storestate are longer than PostgreSQL lets a statename be.
                only = "WHERE statename = 'networkpassphrase'" if table == "storestate" else ""
                for row in origin.execute(f"SELECT * FROM {table} {only}"):
                    copy.write_row(row)
    origin.close()
    backend = pickle.loads(pickle.dumps(CoreDatabaseBackend(postgres_url, STANDALONE)))  # noqa: S301
    backend.check(_WHOLE)
    assert {raw.sequence: raw.data for raw in backend.read(_WHOLE)} == core_ledgers
    with pytest.raises(NetworkMismatchError):
        CoreDatabaseBackend(postgres_url, TESTNET).check(_WHOLE)
    with psycopg.connect(postgres_url, autocommit=True) as target:
        target.execute("DROP TABLE txfeehistory")
    with pytest.raises(BackendError, match="no table txfeehistory"):
        backend.check(_WHOLE)


def test_a_newer_cores_database_is_refused_by_the_table_it_lacks(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "core.db").write_bytes(unpacked(shared_data / "standalone-p23" / "oracle" / "stellar-core.sqlite.zst"))
    with pytest.raises(BackendError, match="has no table txhistory; cores of protocol 20 and later no longer write it"):
        _backend(tmp_path).check(_WHOLE)


@pytest.mark.parametrize("table", _TABLES[:4])
def test_each_table_is_asked_for(broken: sqlite3.Connection, tmp_path: Path, table: str) -> None:
    broken.execute(f"DROP TABLE {table}")
    with pytest.raises(BackendError, match=f"has no table {table}"):
        _backend(tmp_path).check(_WHOLE)


def test_each_column_is_asked_for(broken: sqlite3.Connection, tmp_path: Path) -> None:
    broken.execute("ALTER TABLE txhistory RENAME COLUMN txmeta TO other")
    with pytest.raises(BackendError, match=r"has no column txhistory\.txmeta"):
        _backend(tmp_path).check(_WHOLE)


def test_another_network_is_refused(broken: sqlite3.Connection, core_file: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkMismatchError, match="is of network 'Standalone Network"):
        CoreDatabaseBackend(f"sqlite:///{core_file}", TESTNET).check(_WHOLE)
    broken.execute("DROP TABLE storestate")
    _backend(tmp_path).check(_WHOLE)


def test_holes_are_told_as_ranges(broken: sqlite3.Connection, tmp_path: Path) -> None:
    broken.execute("DELETE FROM ledgerheaders WHERE ledgerseq IN (50, 51, 200)")
    backend = _backend(tmp_path)
    lost = (LedgerRange(50, 51), LedgerRange(200, 200), LedgerRange(401, 410))
    with pytest.raises(MissingLedgersError, match="50-51, 200, 401-410; it has ledgers 1-400") as checked:
        backend.check(LedgerRange(2, 410))
    assert checked.value.ranges == lost
    given, error = read_until(MissingLedgersError, backend.read(LedgerRange(2, 410)))
    assert given == list(range(2, 50))
    assert error.ranges == lost


@pytest.mark.parametrize(
    "change, told",
    [
        ("UPDATE txhistory SET txindex = 99 WHERE ledgerseq = 300 AND txindex = 2", "txhistory has index"),
        (
            "DELETE FROM txfeehistory WHERE ledgerseq = 300 AND txindex = 1",
            "row 0 of txfeehistory has index 2,",
        ),
        ("DELETE FROM txfeehistory WHERE ledgerseq = 300", "rows in txhistory, but 0 in txfeehistory"),
        ("UPDATE txhistory SET txmeta = 'what is this?' WHERE ledgerseq = 300 AND txindex = 1", "ledger 300"),
        ("UPDATE ledgerheaders SET data = 'AAAA' WHERE ledgerseq = 300", "a ledger header of 3 bytes"),
        ("UPDATE ledgerheaders SET ledgerhash = 'no hash' WHERE ledgerseq = 300", "ledger 300"),
    ],
)
def test_rows_that_do_not_fit_are_told(broken: sqlite3.Connection, tmp_path: Path, change: str, told: str) -> None:
    assert broken.execute(change).rowcount > 0
    given, error = read_until(LedgerStreamError, _backend(tmp_path).read(_WHOLE), told)
    assert given == list(range(2, 300))
    assert "ledger 300 of core database" in str(error)


def test_from_protocol_20_on_the_set_is_not_known(broken: sqlite3.Connection, tmp_path: Path) -> None:
    import base64

    (text,) = broken.execute("SELECT data FROM ledgerheaders WHERE ledgerseq = 400").fetchone()
    header = base64.b64decode(text)
    newer = base64.b64encode((20).to_bytes(4, "big") + header[4:]).decode()
    broken.execute("UPDATE ledgerheaders SET data = ? WHERE ledgerseq = 400", (newer,))
    assert [raw.has_set for raw in _backend(tmp_path).read(LedgerRange(399, 400))] == [True, False]


def test_following_polls(broken: sqlite3.Connection, tmp_path: Path, impatient: BackendOptions) -> None:
    rows = broken.execute("SELECT * FROM ledgerheaders WHERE ledgerseq > 390 ORDER BY ledgerseq").fetchall()
    broken.execute("DELETE FROM ledgerheaders WHERE ledgerseq > 390")

    def close_ledgers(_seconds: float) -> None:
        for _ in range(3):
            if rows:
                broken.execute("INSERT INTO ledgerheaders VALUES (?, ?, ?, ?, ?, ?)", rows.pop(0))

    backend = _backend(tmp_path, replace(impatient, sleep=close_ledgers))
    given: list[int] = []
    for raw in backend.follow(385, lambda: len(given) == 16):
        given.append(raw.sequence)  # noqa: PERF401 - the stop condition looks at it
    assert given == list(range(385, 401))


def test_addresses_without_a_database(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="unable to open database file"):
        CoreDatabaseBackend(f"sqlite:///{tmp_path}/nothing.db", STANDALONE).check(_WHOLE)
    assert not list(tmp_path.iterdir()), "reading creates nothing"
    for url in ("mysql://host/core", "not a url"):
        with pytest.raises(UsageError):
            CoreDatabaseBackend(url, STANDALONE)
    with pytest.raises(UsageError, match="names no file"):
        CoreDatabaseBackend("sqlite://", STANDALONE).check(_WHOLE)
    with pytest.raises(BackendError) as error:
        CoreDatabaseBackend("postgresql://someone:secret@127.0.0.1:1/core", STANDALONE).check(_WHOLE)
    assert "secret" not in str(error.value)
    assert isinstance(error.value, AuroraError)
