"""Chunks of history in a database: replaced whole, counted, locked, resumed."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.db import chunk_locks, cursor, history
from aurora_ingest.db.engine import writing
from aurora_ingest.db.history import ChunkTransaction, covers
from aurora_ingest.errors import MigrationError, NetworkMismatchError
from aurora_ingest.ledger.ledger_range import LedgerRange
from db import histories


def test_a_chunk_is_replaced_whole_and_nothing_else(engine: sa.Engine) -> None:
    histories.write(engine, LedgerRange(10, 29), "a")
    histories.write(engine, LedgerRange(15, 19), "b")
    histories.write(engine, LedgerRange(15, 19), "b")
    marks = histories.sequences(engine)
    assert marks == {ledger: "b" if 15 <= ledger <= 19 else "a" for ledger in range(10, 30)}
    assert histories.operations_per_ledger(engine) == dict.fromkeys(range(10, 30), 3)
    with engine.connect() as connection:
        query = "SELECT ledger_sequence, table_name, rows_in, rows_out, quarantined FROM ingest_ledger_counts"
        found = {tuple(row) for row in connection.exec_driver_sql(query)}
        receipts = connection.exec_driver_sql("SELECT first_ledger, last_ledger FROM ingest_history_chunks").all()
    assert found == {
        (ledger, table, rows, rows, 0)
        for ledger in range(10, 30)
        for table, rows in (("history_ledgers", 1), ("history_operations", 3))
    }
    assert sorted(map(tuple, receipts)) == [(10, 14), (15, 19), (20, 29)]


def test_a_chunk_of_one_ledger(engine: sa.Engine) -> None:
    histories.write(engine, LedgerRange(2, 2))
    histories.write(engine, LedgerRange(1, 1))
    assert histories.sequences(engine) == {1: "a", 2: "a"}


def test_what_was_not_committed_is_not_there(engine: sa.Engine) -> None:
    histories.write(engine, LedgerRange(10, 19), "a")
    transaction = ChunkTransaction(engine, LedgerRange(10, 19), histories.target())
    histories.fill(transaction, LedgerRange(10, 14), "b")
    transaction.close()
    transaction.close()
    assert histories.sequences(engine) == dict.fromkeys(range(10, 20), "a")


def test_readers_see_the_old_chunk_or_the_new_one(engine: sa.Engine) -> None:
    span = LedgerRange(10, 19)
    histories.write(engine, span, "a")
    transaction = ChunkTransaction(engine, span, histories.target())
    histories.fill(transaction, span, "b")
    assert set(histories.sequences(engine).values()) == {"a"}
    transaction.commit()
    assert set(histories.sequences(engine).values()) == {"b"}


def test_only_what_is_missing_is_left_to_do(engine: sa.Engine) -> None:
    chunks = list(LedgerRange(10, 49).chunks(10))
    histories.write(engine, LedgerRange(10, 24))
    histories.write(engine, LedgerRange(25, 29))
    histories.write(engine, LedgerRange(40, 48))
    left = history.unwritten(engine, chunks, histories.target())
    assert left == (LedgerRange(30, 39), LedgerRange(40, 49))
    assert history.unwritten(engine, chunks, histories.target("archive")) == tuple(chunks)
    more = histories.target(tables=(*histories.TABLES, "history_transactions"))
    assert history.unwritten(engine, chunks, more) == tuple(chunks)
    fewer = histories.target(tables=("history_ledgers",))
    assert history.unwritten(engine, chunks, fewer) == left
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE ingest_history_chunks SET version = version - 1")
    assert history.unwritten(engine, chunks, histories.target()) == tuple(chunks)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 8)), max_size=8), st.integers(1, 30), st.integers(0, 8))
def test_covering_is_that_of_sets(spans: list[tuple[int, int]], first: int, more: int) -> None:
    ranges = sorted((start, start + length) for start, length in spans)
    held = {ledger for start, end in ranges for ledger in range(start, end + 1)}
    wanted = LedgerRange(first, first + more)
    assert covers(ranges, wanted) == (set(wanted) <= held)


def test_a_database_of_another_network_is_refused(engine: sa.Engine) -> None:
    history.check(engine, LedgerRange(2, 3), histories.target())
    history.prepare(engine, histories.target())
    history.prepare(engine, histories.target())
    other = history.HistoryTarget(histories.TABLES, "lake", "Another Network")
    for job in (lambda: history.check(engine, LedgerRange(2, 3), other), lambda: history.prepare(engine, other)):
        with pytest.raises(NetworkMismatchError, match="'Test Network'"):
            job()
    with writing(engine) as connection:
        assert cursor.read_last_ledger(connection) is None
        connection.exec_driver_sql("UPDATE aurora_alembic_version SET version_num = '0002'")
    with pytest.raises(MigrationError, match="db migrate"):
        history.check(engine, LedgerRange(2, 3), histories.target())


@given(st.integers(1, 500), st.integers(0, 300), st.integers(1, 500), st.integers(0, 300))
def test_ranges_share_a_lock_that_excludes_exactly_when_they_overlap(
    first: int, more: int, other_first: int, other_more: int
) -> None:
    ranges = LedgerRange(first, first + more), LedgerRange(other_first, other_first + other_more)
    shared, alone = zip(*(_locks(each) for each in ranges), strict=True)
    excluded = bool(alone[0] & (alone[1] | shared[1]) or alone[1] & shared[0])
    assert excluded == (ranges[0].intersection(ranges[1]) is not None)


@given(st.integers(1, 500), st.integers(0, 300))
def test_locks_are_taken_in_ascending_order(first: int, more: int) -> None:
    places = []
    for kind, start, end, _ in chunk_locks.locks_of(LedgerRange(first, first + more)):
        of_a_cell = kind == chunk_locks._CELL_CLASS
        places += [(number, -1) if of_a_cell else (number // 64, number) for number in range(start, end + 1)]
    assert all(before < after for before, after in pairwise(places))


def _locks(ledgers: LedgerRange) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    shared: set[tuple[int, int]] = set()
    alone: set[tuple[int, int]] = set()
    for kind, start, end, is_shared in chunk_locks.locks_of(ledgers):
        (shared if is_shared else alone).update((kind, number) for number in range(start, end + 1))
    return shared, alone


@pytest.mark.postgres
def test_writers_of_the_same_ledgers_wait_and_neighbours_do_not(postgres_url: str) -> None:
    from db import states

    engine = states.migrated(postgres_url)
    first = ChunkTransaction(engine, LedgerRange(1000, 1099), histories.target())
    histories.write(engine, LedgerRange(1100, 1199))  # its first ledgers lie in the cell of the others' last ones
    done = threading.Event()

    def write_over() -> None:
        histories.write(engine, LedgerRange(1050, 1149), "b")
        done.set()

    thread = threading.Thread(target=write_over)
    thread.start()
    time.sleep(0.3)
    assert not done.is_set()
    histories.fill(first, LedgerRange(1000, 1099), "a")
    first.commit()
    thread.join(timeout=20)
    marks = histories.sequences(engine)
    assert marks == {ledger: "b" if 1050 <= ledger <= 1149 else "a" for ledger in range(1000, 1200)}
    engine.dispose()
