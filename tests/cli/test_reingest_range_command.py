from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from aurora_ingest.cli import DONE, FAILED, USAGE, run

_STREAM = Path(__file__).parents[1] / "data" / "standalone-accel-ledgers.xdr.zst"
_WORDS = ["reingest-range", "--network", "standalone", "--ledgers", str(_STREAM), "--log-level", "error"]


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "history"
    words = [*_WORDS, "--from", "1", "--to", "60", "--chunk-ledgers", "25", "--parquet", str(folder), "--dry-run"]
    assert run([*words, "--workers", "2", "--tables", "history_ledgers"]) == DONE
    shown = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines() if not line.startswith(" "))
    facts = {name: value.strip() for name, value in shown.items()}
    assert (facts["ledgers"], facts["chunks"], facts["chunks_done"], facts["workers"]) == ("2-60", "3", "0", "2")
    assert facts["genesis"].endswith("reading starts at ledger 2")
    assert int(facts["estimated_bytes"]) > 0
    assert not folder.exists()
    assert run([*words, "--json"]) == DONE
    plan = json.loads(capsys.readouterr().out)
    assert plan["tables"][0] == "history_ledgers"
    assert plan["steps"][-2:] == ["ExtractChunkReceipts", "PublishHistoryManifest"]


def test_what_is_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    assert run(["db", "migrate", "--db-url", url]) == DONE
    capsys.readouterr()
    words = [*_WORDS, "--from", "2", "--to", "30", "--chunk-ledgers", "25", "--db-url", url]
    assert run([*words, "--json"]) == DONE
    told = json.loads(capsys.readouterr().out)
    with sqlite3.connect(tmp_path / "history.db") as database:
        rows = {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in told["rows"]
            if table != "ingest_quarantine"
        }
    database.close()
    assert told == {"first": 2, "last": 30, "chunks": 2, "chunks_done": 0, "rows": {**rows, "ingest_quarantine": 0}}
    assert rows["history_ledgers"] == 29
    assert run([*words, "--resume"]) == DONE
    assert capsys.readouterr().out == "History of ledgers 2-30: 0 chunks written, 2 left out that are there\n"


def test_a_failed_chunk_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["reingest-range", "--network", "testnet", "--ledgers", str(_STREAM), "--log-level", "error"]
    assert run([*words, "--from", "2", "--to", "9", "--chunk-ledgers", "5", "--parquet", str(tmp_path / "p")]) == FAILED
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("aurora-ingest: chunk 2-4: ledger 3: none of its ")


@pytest.mark.parametrize(
    "words,told",
    [
        (["--from", "9", "--to", "5"], "ends before it starts"),
        (["--from", "2", "--to", "5"], "needs a target"),
        (["--from", "2", "--to", "5", "--parquet", "p", "--tables", "accounts"], "unknown history table accounts"),
        (["--from", "2", "--to", "5", "--parquet", "p", "--", "--no_such_flag"], "does not know --no_such_flag"),
        (["--from", "0", "--to", "5"], "0 is not in the range"),
        (["--to", "5"], "--from"),
    ],
)
def test_wrong_usage_is_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*_WORDS, *words]) == USAGE
    assert told in capsys.readouterr().err


def test_a_redrive_needs_a_quarantine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["redrive", "--network", "standalone"]) == USAGE
    assert run(["redrive", "--network", "standalone", "--parquet", str(tmp_path)]) == USAGE
    assert "holds no Parquet history" in capsys.readouterr().err
