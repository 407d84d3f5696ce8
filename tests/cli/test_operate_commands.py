"""The commands of operators, on a small state with some ledgers of history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import closed_network
from aurora_ingest import cli
from aurora_ingest.db import cursor
from aurora_ingest.db.engine import writing
from aurora_ingest.db.history import delete_ledgers
from aurora_ingest.db.lead import Committer
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.transforms.processors import HISTORY_TABLES


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    opened = closed_network.state_at(url)
    node = Committer(opened, node="one", network_passphrase=closed_network.NETWORK.passphrase)
    for sequence in range(64, 81):
        node.commit([closed_network.prepared()[sequence]])
    yield opened
    opened.dispose()


def test_gaps_are_filled_with_what_was_there(url: str, engine: sa.Engine, capsys: pytest.CaptureFixture[str]) -> None:
    before = closed_network.rows(engine, HISTORY_TABLES)
    with writing(engine) as connection:
        delete_ledgers(connection, HISTORY_TABLES, LedgerRange(66, 67))
        delete_ledgers(connection, ["history_operations"], LedgerRange(75, 75))
    arguments = ["fill-gaps", "--network", "standalone", "--ledgers", str(closed_network.STREAM), "--db-url", url]
    assert cli.run([*arguments, "--dry-run"]) == 0
    output = capsys.readouterr()
    assert output.out.endswith("2 gaps of 3 ledgers\n")
    assert "history_operations: ledgers 75 are missing" in output.err
    assert cli.run(arguments) == 0
    assert capsys.readouterr().out.endswith("2 gaps of 3 ledgers filled\n")
    assert closed_network.rows(engine, HISTORY_TABLES) == before
    assert cli.run(arguments) == 0
    assert capsys.readouterr().out.endswith("no gaps\n")


def test_old_history_is_reaped(url: str, engine: sa.Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["reap", "--db-url", url, "--keep-ledgers", "5"]) == 0
    assert "history of ledgers 64-75 has left; it begins at ledger 76 now" in capsys.readouterr().out
    assert cli.run(["reap", "--db-url", url, "--keep-ledgers", "5"]) == 0
    assert "nothing to reap" in capsys.readouterr().out


def test_a_rebuild_is_asked_for(url: str, engine: sa.Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["trigger-rebuild", "--db-url", url]) == 0
    assert "the state at ledger 80 will be built again" in capsys.readouterr().out
    with engine.connect() as connection:
        assert cursor.is_state_invalid(connection)
    assert cli.run(["status", "--db-url", url]) == 0
    shown = capsys.readouterr().out
    assert "state is valid:  no" in shown
    assert "ago by one" in shown
