"""`follow --dry-run` tells what a node would do and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import closed_network
from aurora_ingest.cli import run


def _told(capsys: pytest.CaptureFixture[str], url: str, *words: str) -> list[str]:
    network = ("--network", "standalone", "--checkpoint-frequency", "8", "--ledgers", str(closed_network.STREAM))
    archive = ("--history-archive-url", str(closed_network.ARCHIVE))
    capsys.readouterr()
    assert run(["follow", *network, *archive, "--db-url", url, "--dry-run", *words]) == 0
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_where_a_node_would_begin_and_what_it_would_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    closed_network.state_at(url).dispose()
    before = (tmp_path / "state.db").read_bytes()
    told = _told(capsys, url, "--until", "90", "--history-tables", "history_ledgers", "--on-bad-record", "quarantine")
    expected = ["source_holds: ledgers 2-100", "begins: after ledger 63", "until: 90", "on_bad_record: quarantine"]
    assert [line for line in told if line in expected] == expected
    assert "runner: FnApiRunner" in told
    assert told[told.index("history_tables:") + 1] == "history_ledgers"
    assert {"accounts", "ProcessHistoryLedgers", "LeadLedgers"} < {*told}
    assert "ProcessHistoryOperations" not in told
    assert (tmp_path / "state.db").read_bytes() == before


def test_a_state_would_be_built_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    assert run(["db", "migrate", "--db-url", url]) == 0
    assert "begins: with a state build from checkpoint 95" in _told(capsys, url)
    assert "begins: with a state build from checkpoint 79" in _told(capsys, url, "--until", "80")
