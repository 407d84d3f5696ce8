"""The command from its words to its verdicts, on our own network's ledgers and archive."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from aurora_ingest import cli
from aurora_ingest.ledger.verdicts import COLUMNS
from verification_runs import change_stream

_DATA = Path(__file__).parents[1] / "data"
_STREAM = _DATA / "standalone-accel-ledgers.xdr.zst"
_ARCHIVE = ["--history-archive-url", str(_DATA / "standalone-accel")]


def _command(*arguments: str, network: str = "standalone", ledgers: Path = _STREAM) -> list[str]:
    frequency = ["--checkpoint-frequency", "8", "--log-level", "warning"]
    return ["verify-range", "--network", network, *frequency, "--ledgers", str(ledgers), *arguments]


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The stream with another close time in ledger 12."""

    def change(ledgers: dict[int, bytearray]) -> None:
        ledgers[12][4 + 32 + 4 + 32 + 32 + 7] ^= 1

    return change_stream(_STREAM, tmp_path / "changed.xdr", change)


def test_good_ledgers_end_well_and_the_summary_says_what_was_proven(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(_command("--from", "1", "--to", "15", *_ARCHIVE)) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    assert [line.split()[1] for line in output.splitlines() if line.startswith("│ ")] == list(COLUMNS)
    assert "OK: nothing is wrong with 15 ledgers." in output
    assert "header_hash=" not in output  # no ledger is bad, so none is shown


def test_a_bad_ledger_ends_with_code_1_and_its_name(changed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(_command("--from", "2", "--to", "20", ledgers=changed)) == 1
    output, errors = capsys.readouterr()
    assert errors.startswith(
        "aurora-ingest: ledger 12: header_hash is bad; 1 of 19 ledgers are not what they should be"
    )
    assert output.startswith("12 header_hash=bad chain_link=ok ")
    assert "BAD: 1 of 19 ledgers; the first is 12, header_hash." in output


def test_every_row_is_shown_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(_command("--from", "9", "--to", "12", "--rows", "all")) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "header_hash=" in line]
    assert [row.split()[0] for row in rows] == ["9", "10", "11", "12"]
    assert rows[0].split()[1:3] == ["header_hash=ok", "chain_link=absent"]


@pytest.mark.parametrize("rows,ledgers", [("bad", [12]), ("all", list(range(2, 21)))])
def test_json_is_one_document(rows: str, ledgers: list[int], changed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(_command("--from", "2", "--to", "20", "--format", "json", "--rows", rows, ledgers=changed)) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["from"], document["to"], document["ledgers"], document["bad_ledgers"]) == (2, 20, 19, 1)
    assert (document["first_bad"]["ledger"], document["first_bad"]["column"]) == (12, "header_hash")
    assert document["counts"]["header_hash"] == {"bad": 1, "ok": 18}
    assert document["archive"] is None
    assert [row["ledger_sequence"] for row in document["rows"]] == ledgers


def test_json_of_good_ledgers_has_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(_command("--from", "2", "--to", "3", "--format", "json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"], document["first_bad"], document["hint"]) == ([], None, "")


def test_the_wrong_network_is_guessed_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(_command("--from", "2", "--to", "20", network="testnet")) == 1
    output, errors = capsys.readouterr()
    assert "is it the right network?" in errors
    assert "is it the right network?" in output.splitlines()[-1]


def test_verdicts_are_kept_as_parquet_even_if_a_ledger_is_bad(changed: Path, tmp_path: Path) -> None:
    assert cli.run(_command("--from", "2", "--to", "20", "--parquet", str(tmp_path / "out"), ledgers=changed)) == 1
    table = pq.read_table(tmp_path / "out/ledger_verdicts")
    assert table.column("ledger_sequence").to_pylist() == list(range(2, 21))
    assert json.loads((tmp_path / "out/ledger_verdicts/_manifest.json").read_text())["bad_ledgers"] == 1


def test_two_workers_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for workers in ("1", "2"):
        work = ["--work-dir", str(tmp_path / workers), "--workers", workers]
        assert (
            cli.run(_command("--from", "1", "--to", "95", "--format", "json", "--rows", "all", *_ARCHIVE, *work)) == 0
        )
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "arguments,told",
    [
        (["--from", "5", "--to", "4"], "ends before it starts"),
        (["--from", "5"], "Missing option '--to'"),
        (["--from", "2", "--to", "3", "--trusted-ledger", "2"], "is not N:HASH"),
        (["--from", "2", "--to", "3", "--trusted-ledger", f"9:{'a' * 64}"], "give --history-archive-url"),
    ],
)
def test_wrong_usage_is_told_and_nothing_starts(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(_command(*arguments)) == 2
    assert told in capsys.readouterr().err


def test_a_source_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(_command("--from", "2", "--to", "3", ledgers=tmp_path / "nothing")) == 1
    assert "there is no such file or folder" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_dry_run_tells_what_would_be_done(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(_command("--from", "1", "--to", "95", "--dry-run", "--format", form, *_ARCHIVE)) == 0
    output = capsys.readouterr().out
    facts = json.loads(output) if form == "json" else dict(line.partition(":")[::2] for line in output.splitlines())
    assert str(facts["states_rebuilt"]).strip() == "12"
    assert "ReportVerdicts" in str(facts)
