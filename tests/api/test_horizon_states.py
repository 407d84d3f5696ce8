"""Horizon's own rows of testnet, served: the documents are those that its ledger entries give."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from stellar_sdk import StrKey

from api.horizon_documents import HorizonDocuments, horizon_documents
from api.live_entries import live_entries
from api.paged_client import Json
from api.served import served
from aurora_ingest.db import cursor, schema
from aurora_ingest.db.engine import connect, is_postgres, writing
from aurora_ingest.db.tables import STATE_TABLES
from differential.exact_csv import read_csv
from differential.horizon import CASES, HORIZON_TABLES

pytestmark = [pytest.mark.shared_data, pytest.mark.slow]

CASE = "testnet-8063"
BASE = "http://service"
FULL = 200


@pytest.fixture(scope="module")
def documents(shared_data: Path) -> HorizonDocuments:
    archive, checkpoint, passphrase = CASES[CASE]
    entries = live_entries(shared_data / "public/stellar-archivist" / archive, checkpoint)
    oracle = shared_data / "oracle/horizon-state" / CASE
    return horizon_documents(entries, passphrase, {}, BASE, list(_contracts(oracle)))


def _contracts(oracle: Path) -> Iterator[Json]:
    """Yields the contracts of assets, whose numbers no classic entry has."""
    sums = {row["contract_id"]: json.loads(str(row["stat"])) for row in _rows(oracle, "contract_asset_stats")}
    for row in _rows(oracle, "asset_contracts"):
        held = sums.get(row["contract_id"], {"holders": 0, "balance": "0"})
        yield {
            "asset_type": int(str(row["asset_type"])),
            "asset_code": row["asset_code"],
            "asset_issuer": row["asset_issuer"],
            "contract_id": StrKey.encode_contract(bytes.fromhex(str(row["contract_id"])[2:])),
            "holders": held["holders"],
            "balance": int(held["balance"]),
        }


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def service(request: pytest.FixtureRequest, shared_data: Path, tmp_path: Path) -> Iterator[str]:
    url = f"sqlite:///{tmp_path}/state.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    _fill(url, shared_data / "oracle/horizon-state" / CASE)
    with served(url) as address:
        yield address


def test_documents_of_horizons_rows(service: str, documents: HorizonDocuments) -> None:
    with requests.Session() as session:

        def get(path: str, **params: Any) -> Json:
            response = session.get(service + path, params=params, timeout=60)
            assert response.status_code == 200, response.text
            found: Json = json.loads(response.text.replace(service, BASE))
            return found

        def pages(path: str, **params: Any) -> list[Json]:
            found: list[Json] = []
            while True:
                page = get(path, limit=FULL, **params, **({"cursor": found[-1]["paging_token"]} if found else {}))
                found += page["_embedded"]["records"]
                if len(page["_embedded"]["records"]) < FULL:
                    return found

        assert pages("/offers") == [documents.offers[each] for each in sorted(documents.offers)]
        pools = documents.liquidity_pools
        assert pages("/liquidity_pools") == [pools[each] for each in sorted(pools)]
        assert {each["id"]: each for each in pages("/claimable_balances")} == documents.claimable_balances
        ordered = sorted(documents.assets.values(), key=lambda each: (each["asset_code"], each["asset_issuer"]))
        assert pages("/assets") == ordered

        held = Counter(
            f"{line['asset_code']}:{line['asset_issuer']}"
            for each in documents.accounts.values()
            for line in each["balances"]
            if "asset_code" in line
        )
        compared = set()
        for asset, holders in held.most_common(5):
            found = pages("/accounts", asset=asset)
            assert len(found) == holders
            assert found == [documents.accounts[each["id"]] for each in found]
            compared |= {each["id"] for each in found}
        for account, document in documents.accounts.items():
            is_odd = document["data"] or "sponsor" in document or document["flags"]["auth_required"]
            if is_odd and account not in compared:
                assert get(f"/accounts/{account}") == document
                compared.add(account)
        assert len(compared) > 3000


def _fill(url: str, oracle: Path) -> None:
    engine = connect(url)
    schema.migrate(engine)
    with writing(engine) as connection:
        for table in HORIZON_TABLES:
            made = [_typed(connection, table, row) for row in _rows(oracle, table)]
            if made:
                connection.execute(sa.insert(STATE_TABLES[table]), made)
        cursor.write(connection, cursor.LAST_LEDGER, CASE.rpartition("-")[2])
        cursor.write(connection, cursor.LAST_HASH, "ab" * 32)
        cursor.write(connection, cursor.VERSION, str(cursor.CURRENT_VERSION))
        cursor.write(connection, cursor.STATE_INVALID, "false")
        cursor.write(connection, cursor.NETWORK, CASES[CASE][2])
    engine.dispose()


def _rows(oracle: Path, table: str) -> Iterator[dict[str, str | None]]:
    header, rows = read_csv(oracle / f"{table}.csv.zst")
    return (dict(zip(header, row, strict=True)) for row in rows)


def _typed(connection: sa.Connection, table: str, row: dict[str, str | None]) -> dict[str, Any]:
    made = {name: _value(connection, STATE_TABLES[table].c[name], text) for name, text in row.items()}
    if table == "claimable_balances":
        made["predicates"] = [] if is_postgres(connection) else "[]"  # a column of ours that the service does not read
    return made


def _value(connection: sa.Connection, column: sa.Column[Any], text: str | None) -> Any:
    if text is None:
        return None
    if is_postgres(connection) and text[:1] in {"[", "{"}:
        return json.loads(text)
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return text == "t"
    if isinstance(kind, sa.Integer):
        return int(text)
    if isinstance(kind, sa.LargeBinary):
        return bytes.fromhex(text[2:])
    if isinstance(kind, sa.Float):
        return float(text)
    return Decimal(text) if column.name == "amount" and is_postgres(connection) else text
