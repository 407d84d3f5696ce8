"""The command from its words to its tables, on our own network's archive."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import aurora_ingest
from aurora_ingest import cli

_DATA = Path(__file__).parents[1] / "data"
_ARCHIVE = _DATA / "standalone-accel"
_EXPECTED = json.loads((_DATA / "expected.json").read_text(encoding="utf-8"))
_NETWORK = ["--network", "standalone", "--checkpoint-frequency", "8", "--history-archive-url", str(_ARCHIVE)]


def _build(*arguments: str) -> list[str]:
    return ["build-state", *_NETWORK, "--checkpoint", "95", "--log-level", "warning", *arguments]


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/state.db"
    assert cli.run(["db", "migrate", "--db-url", url]) == 0
    return url


def _run_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert cli.run([*arguments, "--json"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return json.loads(output.out)


def test_a_state_has_the_rows_of_stellar_core(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = _run_json(_build("--db-url", database, "--work-dir", str(tmp_path / "work")), capsys)
    assert summary["checkpoint"] == 95
    assert {table: summary["rows"][table] for table in _EXPECTED["rows"]} == _EXPECTED["rows"]
    status = _run_json(["status", "--db-url", database], capsys)
    assert (status["last_ledger"], status["version"], status["state_invalid"]) == (95, 3, False)
    assert status["rows"] == summary["rows"]
    assert status["unfinished"] == []
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        (stroops,) = connection.execute("SELECT sum(balance) FROM accounts").fetchone()
    assert stroops == _EXPECTED["native_stroops_in_accounts"]


def test_the_summary_is_a_table_and_the_log_is_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--parquet", str(tmp_path), "--tables", "offers,accounts", "--log-level", "info"]
    assert cli.run(_build(*arguments)) == 0
    output = capsys.readouterr()
    assert output.out.startswith("State at ledger 95\n")
    assert "accounts" in output.out
    assert "171" in output.out
    assert "Reading from History Archive Snapshot sequence=95" in output.err
    assert "Finished processing History Archive Snapshot sequence=95" in output.err
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        "accounts",
        "manifests",
        "offers",
    ]


def test_a_dry_run_says_everything_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"postgresql://me:secret@nowhere.invalid/x?application_name={tmp_path.name}"
    plan = _run_json(_build("--db-url", url, "--parquet", str(tmp_path / "out"), "--dry-run"), capsys)
    assert plan["checkpoint"] == 95
    assert plan["runner"] == "FnApiRunner"
    assert "secret" not in json.dumps(plan)
    assert plan["database"].startswith("postgresql://me:***@nowhere.invalid/x")
    assert "accounts" in plan["tables"]
    assert plan["steps"][0] == "ReadFromHistoryArchive"
    assert plan["steps"][-1] == "PublishState"
    for stage in ("BuildRanges", "BuildPartitions", "BuildTotals"):
        assert plan["steps"].index(f"{stage}/WriteToSql") == plan["steps"].index(f"{stage}/WriteToParquet") + 1
    assert "BuildRanges/ProcessAccounts" in plan["steps"]
    assert plan["memory"] == "1024 MiB, 16 segments per key range"
    assert list(tmp_path.iterdir()) == []
    assert cli.run(_build("--parquet", str(tmp_path / "out"), "--dry-run")) == 0
    assert "\nsteps:\n  ReadFromHistoryArchive\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments,code,message",
    [
        (["--checkpoint", "96"], 2, "ledger 96 is not a checkpoint; nearest are 95 and 103"),
        (["--checkpoint", "103"], 1, "the newest checkpoint of this archive is 95"),
        (["--network", "testnet"], 1, "Standalone Network ; February 2017"),
        (["--tables", "accounts,blocks"], 2, "unknown tables blocks"),
        (["--memory", "512MiB"], 2, "memory of 512 MiB is too small: the process takes 448 MiB and the smallest"),
        (["--trusted-ledger", f"95:{'0' * 64}"], 1, "0" * 64),
        (["--", "--nonsense"], 2, "does not know --nonsense"),
        (["--", "--runner=FlinkRunner"], 2, "give a --work-dir that all of them share"),
        (["--db-url", "sqlite:///x.db", "--", "--runner=FlinkRunner"], 2, "SQLite has one writer"),
    ],
)
def test_a_refusal_is_one_message(
    arguments: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(_build("--parquet", str(tmp_path / "out"), *arguments)) == code
    output = capsys.readouterr()
    assert message in output.err
    assert len(output.err.strip().splitlines()) == 1
    assert output.out == ""
    assert list(tmp_path.iterdir()) == []


def test_memory_decides_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_id(*arguments: str) -> str:
        plan = _run_json(_build("--parquet", str(tmp_path / "out"), "--dry-run", *arguments), capsys)
        return str(plan["build_id"])

    default = build_id()
    assert build_id("--memory", "1024 MiB") == build_id("--memory", "1.1GB") == build_id("--memory", f"{1 << 30}")
    assert build_id("--memory", "1GiB") == default
    assert build_id("--memory", "2GiB") != default
    monkeypatch.setenv("AURORA_MEMORY", "2gib")
    assert build_id() == build_id("--memory", "2GiB")
    assert cli.run(_build("--parquet", str(tmp_path / "out"), "--memory", "much")) == 2
    assert "'much' is not a size; expected a number and MiB or GiB, as in 1GiB" in capsys.readouterr().err


def test_a_database_without_our_schema_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    assert cli.run(["db", "status", "--db-url", url]) == 0
    assert "no schema" in capsys.readouterr().out
    for arguments in (_build("--db-url", url), ["status", "--db-url", url]):
        assert cli.run(arguments) == 1
        assert "aurora-ingest db migrate" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_a_word_and_the_next_run_resumes(number: signal.Signals, tmp_path: Path) -> None:
    arguments = _build("--parquet", str(tmp_path / "out"), "--log-level", "info")
    environment = {**os.environ, "PYTHONPATH": str(Path(aurora_ingest.__file__).parents[1])}
    command = [sys.executable, "-c", _SLOW_BUILD, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    for line in process.stderr:
        if "Reading from History Archive Snapshot" in line:
            break
    time.sleep(0.3)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert output == ""
    assert errors.splitlines()[-1].startswith("aurora-ingest: interrupted; ")
    assert "Traceback" not in errors
    assert cli.run(arguments) == 1
    assert cli.run([*arguments, "--resume"]) == 0


_SLOW_BUILD = """
import time
from aurora_ingest import cli
from aurora_ingest.transforms import metrics
metrics.LoggingStateReporter.on_state_entries = lambda self, count: time.sleep(20)
cli.main()
"""
