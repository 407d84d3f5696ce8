"""Command lines that never reach a pipeline: flags, messages and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import aurora_ingest
from aurora_ingest import __version__, cli
from aurora_ingest.cli import status as cli_status
from aurora_ingest.errors import HashMismatchError, UsageError

_BUILD = ["build-state", "--network", "testnet", "--db-url", "sqlite:///x.db"]


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _commands(child, (*path, name))
    else:
        yield " ".join(path), command


_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(aurora_ingest.__file__).parents[1])}
_LEAVES = dict(_commands(cli.cli))


def test_the_commands_are_known() -> None:
    assert set(_LEAVES) >= {"build-state", "db migrate", "db status", "find-paths", "order-book", "status"}


@pytest.mark.parametrize("name", _LEAVES)
def test_every_flag_has_an_environment_variable_of_its_name(name: str) -> None:
    for option in _LEAVES[name].params:
        assert isinstance(option, click.Option)
        flag = option.opts[0].removeprefix("--").replace("-", "_").upper()
        assert option.envvar == f"AURORA_{flag}"
        assert option.help


@pytest.mark.parametrize("name", ["", *_LEAVES])
def test_help_is_quiet_on_standard_error(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*name.split(), "--help"]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("Usage: aurora-ingest")
    assert output.err == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"aurora-ingest, version {__version__}\n"


def test_help_loads_no_heavy_library() -> None:
    code = "import sys, aurora_ingest.cli; print(*(n for n in sys.modules if '.' not in n))"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True, env=_ENVIRONMENT).stdout.split()
    assert {"apache_beam", "pyarrow", "sqlalchemy", "alembic", "rich", "google"}.isdisjoint(loaded)


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["build-state", "--bogus"], "No such option"),
        (["build-state", "stray"], "unexpected extra argument"),
        (["bogus"], "No such command"),
        ([*_BUILD, "--checkpoint", "12k"], "'12k' is neither a plain ledger number nor 'latest'"),
        ([*_BUILD, "--checkpoint", "-1"], "'-1' is neither a plain ledger number nor 'latest'"),
        ([*_BUILD, "--trusted-ledger", "63"], "'63' is not N:HASH"),
        ([*_BUILD, "--trusted-ledger", "63:abc"], "'63:abc' is not N:HASH"),
        ([*_BUILD, "--tables", " , "], "names no table"),
        ([*_BUILD, "--checkpoint-frequency", "1"], "not in the range x>=2"),
        ([*_BUILD, "--log-format", "xml"], "'xml' is not one of"),
        (["build-state", "--parquet", "out"], "which network?"),
        (["build-state", "--network", "moonnet", "--parquet", "out"], "unknown network 'moonnet'"),
        (["build-state", "--network", "standalone", "--parquet", "out"], "give --history-archive-url"),
        (["build-state", "--network", "testnet"], "needs a target: give --db-url, --parquet or both"),
        (["status"], "which database? Give --db-url or set AURORA_DB_URL"),
        (["db", "migrate"], "which database?"),
        (["db", "status"], "which database?"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert output.out == ""


def test_an_environment_variable_stands_for_a_flag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AURORA_NETWORK", "moonnet")
    assert cli.run(["build-state", "--parquet", "out"]) == 2
    assert "unknown network 'moonnet'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error,code,message",
    [
        (HashMismatchError("bucket 3fa4: expected a, got b"), 1, "aurora-ingest: bucket 3fa4: expected a, got b\n"),
        (UsageError("no such table"), 2, "aurora-ingest: no such table\n"),
        (KeyboardInterrupt(), 1, "aurora-ingest: interrupted; "),
        (ZeroDivisionError("by zero"), 1, "aurora-ingest: ZeroDivisionError: by zero; this is not an error that"),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_a_failure_gives_one_message(
    error: BaseException,
    code: int,
    message: str,
    debug: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_url: str | None) -> None:
        raise error

    monkeypatch.setattr(cli_status, "connected", fail)
    assert cli.run(["db", "migrate", *(["--debug"] if debug else [])]) == code
    output = capsys.readouterr()
    assert output.err.splitlines(keepends=True)[-1].startswith(message)
    assert ("Traceback" in output.err) == (debug and isinstance(error, Exception))
    if not debug:
        assert len(output.err.strip().splitlines()) == 1


def test_the_module_is_a_command_too() -> None:
    command = [sys.executable, "-m", "aurora_ingest", "bogus"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=_ENVIRONMENT)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "No such command" in done.stderr
