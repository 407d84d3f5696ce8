from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from aurora_ingest.db import cursor
from aurora_ingest.db.apply_state import apply_state, stage_states
from aurora_ingest.db.engine import writing
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import DatabaseError
from aurora_ingest.ledger.genesis import TOTAL_COINS, genesis_hash
from aurora_ingest.network import STANDALONE
from aurora_ingest.transforms.genesis_state import begin_at_genesis
from aurora_ingest.transforms.processors import TABLES
from db import states
from differential.replay import state_changes


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = f"sqlite:///{tmp_path}/state.db"
    opened = states.migrated(url if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
    yield opened
    opened.dispose()


def count(engine: sa.Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = {
            table: connection.execute(sa.select(sa.func.count()).select_from(STATE_TABLES[table])).scalar_one()
            for table in TABLES
        }
    return {table: number for table, number in rows.items() if number}


def test_the_root_account_holds_all_coins(engine: sa.Engine) -> None:
    begin_at_genesis(engine, STANDALONE)
    assert count(engine) == {"accounts": 1, "accounts_signers": 1}
    with engine.connect() as connection:
        assert connection.execute(sa.select(STATE_TABLES["accounts"].c.balance)).scalar_one() == TOTAL_COINS
        assert cursor.read_last_ledger(connection) == 1
        assert cursor.read_last_hash(connection) == genesis_hash(STANDALONE)
        assert cursor.read_version(connection) == cursor.CURRENT_VERSION
        assert cursor.read(connection, cursor.NETWORK) == STANDALONE.passphrase
        assert not cursor.is_state_invalid(connection)


def test_a_state_that_is_there_is_left_alone(engine: sa.Engine) -> None:
    begin_at_genesis(engine, STANDALONE)
    with pytest.raises(DatabaseError, match="has a state already, at ledger 1"):
        begin_at_genesis(engine, STANDALONE)
    assert count(engine) == {"accounts": 1, "accounts_signers": 1}


@pytest.mark.shared_data
def test_ledgers_follow_on_it(engine: sa.Engine, shared_data: Path) -> None:
    changes = state_changes(shared_data / "standalone-p19-accel/meta/ledger-close-meta.xdr.zst", STANDALONE)
    begin_at_genesis(engine, STANDALONE)
    with writing(engine) as connection:
        for ledger in range(2, 16):
            apply_state(connection, *stage_states(connection, [changes[ledger]]))
    assert count(engine)["accounts"] > 1
