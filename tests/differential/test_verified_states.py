"""Our own networks, followed from one checkpoint to later ones, then verified against the archive by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from aurora_ingest import cli
from aurora_ingest.db.engine import connect, writing
from aurora_ingest.db.tables import STATE_TABLES

pytestmark = pytest.mark.shared_data
_KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
_CONTRACT_TABLES = {
    "contract_data": {"value": b"other"},
    "contract_code": {"code_size": 1},
    "config_settings": {"last_modified_ledger": 1},
    "ttl": {"live_until_ledger": 2**32 - 1},
    "contract_asset_balances": {"amount": 10**38},
    "asset_contracts": {"asset_code": "OTHER"},
    "contract_asset_stats": {"stat": {"balance": "1", "holders": 1}},
}


@pytest.fixture(params=_KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.mark.parametrize("network", ["standalone-p19", "standalone-p23"])
def test_a_followed_state_is_the_archives(
    network: str, url: str, shared_data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive = ["--network", "standalone", "--history-archive-url", str(shared_data / network / "archive")]
    database = ["--db-url", url, "--log-level", "error"]
    ledgers = [
        "--ledgers",
        str(shared_data / network / "meta" / "ledger-close-meta.xdr.zst"),
        "--history-tables",
        "none",
    ]
    assert cli.run(["db", "migrate", "--db-url", url]) == 0
    assert cli.run(["build-state", *archive, *database, "--checkpoint", "63"]) == 0
    for checkpoint in (127, 191):
        assert cli.run(["follow", *archive, *ledgers, *database, "--until", str(checkpoint)]) == 0
        capfd.readouterr()
        assert cli.run(["verify-state", *archive, *database]) == 0, capfd.readouterr().out
        assert f"state of checkpoint {checkpoint} is the archive's" in capfd.readouterr().out
    if network == "standalone-p23":
        _change(url)
        assert cli.run(["verify-state", *archive, *database]) == 1
        told = capfd.readouterr().out.splitlines()
        in_order = [table for table in STATE_TABLES if table in _CONTRACT_TABLES]
        assert [line.split(",")[0] for line in told] == [f"table {table}" for table in in_order]


def _change(url: str) -> None:
    """Changes the first row of each table of contracts."""
    engine = connect(url)
    with writing(engine) as connection:
        for name, values in _CONTRACT_TABLES.items():
            table = STATE_TABLES[name]
            (key,) = table.primary_key.columns
            first = connection.execute(sa.select(key).order_by(key)).scalars().first()
            assert first is not None, name
            if engine.dialect.name == "sqlite":
                changed = {column: _plain(value) for column, value in values.items()}
            else:
                changed = values
            connection.execute(sa.update(table).where(key == first).values(**changed))
    engine.dispose()


def _plain(value: object) -> object:
    """A value as SQLite keeps it: text for JSON and for what goes beyond 64 bits."""
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value) if isinstance(value, int) and value >= 2**63 else value
