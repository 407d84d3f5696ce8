from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

import closed_network
from aurora_ingest.db import cursor, nodes
from aurora_ingest.db.engine import writing
from aurora_ingest.db.gaps import read_gaps
from aurora_ingest.db.history import LEDGER_KEYS, ChunkTransaction, HistoryTarget, delete_ledgers, unwritten
from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.db.lead import Committer
from aurora_ingest.db.reap import reap
from aurora_ingest.db.status import read_status
from aurora_ingest.errors import DatabaseError, UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.transforms.processors import HISTORY_TABLES, TABLES
from db import states


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """State and history of ledgers 64 to 90."""
    opened = closed_network.state_at(url)
    node = Committer(opened, node="one", network_passphrase=closed_network.NETWORK.passphrase)
    for sequence in range(64, 91):
        node.commit([closed_network.prepared()[sequence]])
    yield opened
    opened.dispose()


def _ledgers(engine: sa.Engine) -> set[int]:
    with engine.connect() as connection:
        return set(connection.execute(sa.select(ingest_ledger_counts.c.ledger_sequence)).scalars())


def test_reaping_keeps_the_newest_ledgers_whole(engine: sa.Engine) -> None:
    before = closed_network.rows(engine)
    batches: list[LedgerRange] = []
    reaped = reap(engine, 10, batch_ledgers=8, told=batches.append)
    assert (reaped.ledgers, reaped.kept_from) == (LedgerRange(64, 80), 81)
    assert batches == [LedgerRange(64, 71), LedgerRange(72, 79), LedgerRange(80, 80)]
    assert _ledgers(engine) == set(range(81, 91))
    after = closed_network.rows(engine)
    for table in TABLES:
        assert after[table] == before[table]
    for table in HISTORY_TABLES:
        column, bits = LEDGER_KEYS[table]
        place = [each.name for each in closed_network.SQL_HISTORY[table].columns].index(column)
        assert after[table] == [row for row in before[table] if int(str(row[place])) >> bits >= 81]
    assert [ledger for ledger, _ in closed_network.commits(engine)] == list(range(81, 91))
    assert reap(engine, 10).ledgers is None
    assert reap(engine, 1000).ledgers is None


def test_a_database_without_a_cursor_cannot_be_reaped(url: str) -> None:
    engine = states.migrated(url)
    with pytest.raises(DatabaseError, match="no cursor"):
        reap(engine, 10)
    with engine.connect() as connection:
        assert read_gaps(connection) == {}
    engine.dispose()


def test_gaps_are_found_by_table(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert read_gaps(connection) == {}
        assert read_gaps(connection, 60) == {table: (LedgerRange(60, 63),) for table in sorted(HISTORY_TABLES)}
    with writing(engine) as connection:
        delete_ledgers(connection, ["history_operations"], LedgerRange(70, 72))
        delete_ledgers(connection, ["history_operations"], LedgerRange(80, 80))
        delete_ledgers(connection, ["history_ledgers"], LedgerRange(89, 90))
        delete_ledgers(connection, ["history_transactions"], LedgerRange(64, 66))
    with engine.connect() as connection:
        assert read_gaps(connection) == {
            "history_ledgers": (LedgerRange(89, 90),),
            "history_operations": (LedgerRange(70, 72), LedgerRange(80, 80)),
            "history_transactions": (LedgerRange(64, 66),),
        }
        assert read_gaps(connection, 71, 75) == {"history_operations": (LedgerRange(71, 72),)}
        assert read_gaps(connection, 70, 72) == {"history_operations": (LedgerRange(70, 72),)}


def test_ledgers_above_the_cursor_are_no_gap(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        cursor.write(connection, cursor.LAST_LEDGER, "63")
    with engine.connect() as connection:
        assert read_gaps(connection) == {}
        assert read_gaps(connection, 95) == {}


def test_a_receipt_ends_where_others_have_written(engine: sa.Engine) -> None:
    target = HistoryTarget(("history_ledgers", "history_operations"), "lake", closed_network.NETWORK.passphrase)
    poorer = HistoryTarget(("history_operations",), "archive", closed_network.NETWORK.passphrase)
    ChunkTransaction(engine, LedgerRange(20, 40), target).commit()
    ChunkTransaction(engine, LedgerRange(25, 30), poorer).commit()
    chunks = [LedgerRange(20, 24), LedgerRange(25, 30), LedgerRange(31, 40)]
    assert unwritten(engine, chunks, target) == (LedgerRange(25, 30),)
    assert unwritten(engine, chunks, poorer) == (LedgerRange(20, 24), LedgerRange(31, 40))
    only_ledgers = HistoryTarget(("history_ledgers",), "lake", closed_network.NETWORK.passphrase)
    assert unwritten(engine, chunks, only_ledgers) == ()
    ChunkTransaction(engine, LedgerRange(20, 40), target).commit()
    assert unwritten(engine, chunks, target) == ()


def test_nodes_agree_on_the_history_they_write(engine: sa.Engine) -> None:
    nodes.agree_on_history(engine, "one", ["history_ledgers"])
    nodes.note(engine, "one", 90, None)
    nodes.agree_on_history(engine, "two", ["history_ledgers"])
    with pytest.raises(UsageError, match="node one and others write the history tables history_ledgers, this one"):
        nodes.agree_on_history(engine, "two", [])
    nodes.leave(engine, "one")
    nodes.agree_on_history(engine, "two", [])


@pytest.mark.postgres
def test_nodes_that_start_at_once_agree(postgres_url: str) -> None:
    engine = states.migrated(postgres_url)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(nodes.agree_on_history, engine, f"node {n}", ["history_ledgers"]) for n in range(8)]
    for each in asked:
        each.result()
    engine.dispose()


def test_the_status_names_leader_and_gaps(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        delete_ledgers(connection, ["history_operations"], LedgerRange(70, 72))
    status = read_status(engine)
    assert (status.last_ledger, status.leader) == (90, "one")
    assert status.ledger_hash == closed_network.prepared()[90].ledger_hash
    assert status.seconds_since_commit is not None
    assert status.seconds_since_commit < 3600
    assert status.gaps == {"history_operations": ("70-72",)}
