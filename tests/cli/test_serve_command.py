from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

import closed_network
from aurora_ingest import cli
from aurora_ingest.api.serve_options import ServeOptions
from aurora_ingest.errors import UsageError


@pytest.fixture
def url(tmp_path: Path) -> str:
    found = f"sqlite:///{tmp_path}/state.db"
    closed_network.state_at(found).dispose()
    return found


def _refused(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    assert cli.run(["serve", *words]) == code
    return capsys.readouterr().err


def test_a_database_is_needed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AURORA_DB_URL", raising=False)
    assert "which database" in _refused(capsys, 2)


def test_a_database_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = _refused(capsys, 1, "--db-url", f"sqlite:///{tmp_path}/none.db")
    assert "does not answer" in said
    assert not (tmp_path / "none.db").exists()


def test_a_database_without_a_schema_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    assert "run `aurora-ingest db migrate`" in _refused(capsys, 1, "--db-url", f"sqlite:///{tmp_path}/empty.db")


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str], url: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = _refused(capsys, 2, "--db-url", url, "--port", str(port))
    assert f"--port {port}: cannot listen at 127.0.0.1: Address already in use" in said


def test_what_is_not_installed_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.delitem(sys.modules, "aurora_ingest.api.http_server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    said = _refused(capsys, 2, "--db-url", url)
    assert "serve needs uvicorn, which is not installed: pip install 'aurora-ingest[serve]'" in said


@pytest.mark.parametrize("words", [
    {"connections": 0},
    {"searches": 0},
    {"streams": 0},
    {"statement_seconds": 0.0},
    {"search_seconds": -1.0},
    {"poll_seconds": 0.0},
    {"verify_seconds": -1.0},
    {"max_path_length": 6},
    {"public_url": "api.example"},
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(words: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(words))):
        ServeOptions(db_url="sqlite:///x.db", **words)  # type: ignore[arg-type]
