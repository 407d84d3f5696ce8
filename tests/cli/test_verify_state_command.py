"""The command `verify-state`: what it says and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

import closed_network
from aurora_ingest import cli
from aurora_ingest.db.engine import writing


def _command(url: str, *more: str) -> int:
    network = ["--network", "standalone", "--checkpoint-frequency", "8"]
    archive = ["--history-archive-url", str(closed_network.ARCHIVE)]
    return cli.run(["verify-state", *network, *archive, "--db-url", url, "--log-level", "error", *more])


def test_a_sound_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    closed_network.state_at(url).dispose()
    capsys.readouterr()

    assert _command(url) == 0

    assert capsys.readouterr().out.startswith("state of checkpoint 63 is the archive's: ")
    assert cli.run(["status", "--db-url", url]) == 0
    assert "verified:        checkpoint 63, sound" in capsys.readouterr().out


def test_a_wrong_state_is_named_marked_and_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    engine = closed_network.state_at(url)
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE offers SET amount = amount + 1 WHERE offer_id = 4")
    engine.dispose()
    capsys.readouterr()

    assert _command(url) == 1

    told = capsys.readouterr()
    assert told.out == "table offers, offer_id 4: expected amount 648436, found amount 648437\n"
    assert "state of checkpoint 63: mismatch: offers (49 rows expected, 49 found)" in told.err
    assert _command(url) == 1
    assert "known wrong" in capsys.readouterr().err


def test_between_checkpoints_it_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    engine = closed_network.state_at(url)
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE key_value_store SET value = '64' WHERE key = 'exp_ingest_last_ledger'")
    engine.dispose()

    assert _command(url, "--wait", "0.5") == 1
    assert "the state is at ledger 64, which is no checkpoint" in capsys.readouterr().err
