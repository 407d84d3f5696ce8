"""Sessions of several statements see one moment, whatever is published meanwhile."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import InternalError

from aurora_ingest.db import cursor
from aurora_ingest.db.read_only import read_only_session
from aurora_ingest.db.tables import STATE_TABLES
from db import states


def _ledgers(connection: sa.Connection, table: str) -> set[int]:
    column = STATE_TABLES[table].c["live_until_ledger" if table == "ttl" else "weight"]
    return set(connection.execute(sa.select(column)).scalars())


def test_a_session_sees_one_state_while_another_is_published(engine: sa.Engine) -> None:
    states.build_and_publish(engine, 63)
    publishing = threading.Thread(target=states.build_and_publish, args=(engine, 127))
    with read_only_session(engine) as session:
        assert _ledgers(session, "ttl") == {63}
        publishing.start()
        time.sleep(1)
        assert _ledgers(session, "accounts_signers") == {63}
        assert cursor.read_last_ledger(session) == 63
    publishing.join(timeout=30)
    with read_only_session(engine) as session:
        assert _ledgers(session, "ttl") == {127}
        assert cursor.read_last_ledger(session) == 127


@pytest.mark.postgres
def test_the_snapshot_is_taken_after_the_locks(postgres: sa.Engine) -> None:
    """A session that waits for a swap sees what the swap made, cursor and all tables."""
    states.build_and_publish(postgres, 63)
    seen: list[tuple[int | None, set[int], set[int]]] = []

    def read() -> None:
        with read_only_session(postgres) as session:
            seen.append(
                (cursor.read_last_ledger(session), _ledgers(session, "ttl"), _ledgers(session, "accounts_signers"))
            )

    with postgres.begin() as swap:
        swap.exec_driver_sql("LOCK TABLE ttl IN ACCESS EXCLUSIVE MODE")
        reading = threading.Thread(target=read)
        reading.start()
        time.sleep(0.5)
        swap.exec_driver_sql("UPDATE ttl SET live_until_ledger = 127")
        swap.exec_driver_sql("UPDATE accounts_signers SET weight = 127")
        cursor.write(swap, cursor.LAST_LEDGER, "127")
    reading.join(timeout=30)
    assert seen == [(127, {127}, {127})]


@pytest.mark.postgres
def test_a_session_cannot_write_and_leaves_the_connection_as_it_was(postgres: sa.Engine) -> None:
    with pytest.raises(InternalError, match="read-only"), read_only_session(postgres) as session:
        session.exec_driver_sql("DELETE FROM ttl")
    with postgres.connect() as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "read committed"
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "off"
