"""Rows that a database refuses: found among the others, kept, and given back."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from aurora_ingest.db import history, quarantine
from aurora_ingest.db.engine import is_postgres, writing
from aurora_ingest.db.history import ChunkTransaction
from aurora_ingest.errors import RowRejectedError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.transforms.ledger_counts import quarantined_rows
from db import histories

_SPAN = LedgerRange(10, 29)
_BAD = [11 << 32 | 1 << 12 | 2, 17 << 32 | 1 << 12 | 1, 17 << 32 | 1 << 12 | 3, 29 << 32 | 1 << 12 | 3]


def refuse(engine: sa.Engine, ids: list[int]) -> None:
    """Makes the database refuse operations."""
    listed = ", ".join(map(str, ids))
    with writing(engine) as connection:
        if is_postgres(connection):
            connection.exec_driver_sql(
                f"ALTER TABLE history_operations ADD CONSTRAINT picky CHECK (id NOT IN ({listed}))"
            )
        else:
            connection.exec_driver_sql(
                f"CREATE TRIGGER picky BEFORE INSERT ON history_operations WHEN NEW.id IN ({listed}) "
                "BEGIN SELECT RAISE(ABORT, 'picky'); END"
            )


def accept(engine: sa.Engine) -> None:
    """Takes `refuse` back."""
    with writing(engine) as connection:
        sqlite, postgres = "DROP TRIGGER picky", "ALTER TABLE history_operations DROP CONSTRAINT picky"
        connection.exec_driver_sql(postgres if is_postgres(connection) else sqlite)


def test_one_bad_row_stops_a_chunk(engine: sa.Engine) -> None:
    refuse(engine, _BAD)
    transaction = ChunkTransaction(engine, _SPAN, histories.target())
    with pytest.raises(RowRejectedError, match=r"table history_operations: .*picky"):
        histories.fill(transaction, _SPAN)
    transaction.close()
    assert histories.sequences(engine) == {}


def test_bad_rows_are_found_kept_and_given_back(engine: sa.Engine) -> None:
    refuse(engine, _BAD)
    target = histories.target(keep_going=True)
    batch = histories.operations(_SPAN)
    for _ in range(2):  # the second time the quarantine is replaced, too
        transaction = ChunkTransaction(engine, _SPAN, target)
        refused = transaction.write("history_operations", batch)
        assert [batch.column("id")[each.row].as_py() for each in refused] == _BAD
        assert all("picky" in each.reason for each in refused)
        held = quarantined_rows("history_operations", batch, refused)
        transaction.put_into_quarantine(held)
        bad = {ledger: sum(each.ledger == ledger for each in held) for ledger in _SPAN}
        for ledger in _SPAN:
            here = LedgerRange(ledger, ledger)
            transaction.write_counts(histories.counts("history_operations", here, 3, bad[ledger]))
        done = transaction.commit()
        assert (done.rows["history_operations"], done.quarantined) == (56, 4)
    with engine.connect() as connection:
        stored = list(quarantine.held(connection))
    assert [(each.ledger, each.position) for each in stored] == [(11, 1), (17, 0), (17, 2), (29, 2)]
    rows = [quarantine.row_of(each).to_pylist()[0] for each in stored]
    assert [row["id"] for row in rows] == _BAD
    assert _rows_in_is_rows_out_and_quarantined(engine)

    assert history.mend_rows(engine, _SPAN, target) == (0, 4)
    accept(engine)
    assert history.mend_rows(engine, LedgerRange(17, 17), target) == (2, 0)
    assert _rows_in_is_rows_out_and_quarantined(engine)
    assert history.mend_rows(engine, _SPAN, target) == (2, 0)
    assert histories.operations_per_ledger(engine) == dict.fromkeys(_SPAN, 3)
    with engine.connect() as connection:
        assert list(quarantine.held(connection)) == []
        receipt = connection.exec_driver_sql("SELECT rows, quarantined FROM ingest_history_chunks").one()
    assert tuple(receipt) == ('{"history_ledgers": 0, "history_operations": 60}', 0)
    assert _rows_in_is_rows_out_and_quarantined(engine)


def test_all_rows_may_be_bad(engine: sa.Engine) -> None:
    batch = histories.operations(LedgerRange(10, 12))
    refuse(engine, batch.column("id").to_pylist())
    with writing(engine) as connection:
        assert len(quarantine.load_good(connection, "history_operations", batch)) == 9
        assert quarantine.load_good(connection, "history_operations", batch.slice(0, 0)) == []


def test_an_error_of_the_database_itself_is_no_bad_row(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql("DROP TABLE history_operations")
    with pytest.raises(Exception, match="history_operations") as raised, writing(engine) as connection:
        quarantine.load_good(connection, "history_operations", histories.operations(_SPAN))
    assert not isinstance(raised.value, RowRejectedError)


def _rows_in_is_rows_out_and_quarantined(engine: sa.Engine) -> bool:
    with engine.connect() as connection:
        query = "SELECT ledger_sequence, rows_in, rows_out, quarantined FROM ingest_ledger_counts"
        counts = {row[0]: tuple(row[1:]) for row in connection.exec_driver_sql(query)}
        held = [each.ledger for each in quarantine.held(connection)]
    there = histories.operations_per_ledger(engine)
    return counts == {
        ledger: (there.get(ledger, 0) + held.count(ledger), there.get(ledger, 0), held.count(ledger))
        for ledger in _SPAN
    }
