"""Scenarios of Diamante and Horizon replayed from genesis: against today's Horizon, and against the core of then."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
import zstandard
from stellar_sdk import SignerKey, xdr

from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.network import TESTNET, Network
from differential.comparison import assert_same_rows, postgres_text
from differential.exact_csv import read_csv
from differential.horizon import HORIZON_TABLES
from differential.replay import ReplayedState, replayed, state_changes

pytestmark = pytest.mark.shared_data

FOLDERS = {"diamante-block-go": 25, "stellar-horizon": 9}
NEW_SCENARIOS = 24
BASE64_TEXTS = 10
"""Schema of core's database from which on domains and data names are base64."""


def streams(shared_data: Path, folder: str) -> list[Path]:
    return sorted((shared_data / "public" / folder / "scenarios").glob("*.lcm.xdr.zst"))


def apply_all(state: ReplayedState, stream: Path, network: Network) -> ReplayedState:
    state.apply(state_changes(stream, network).values())
    return state


def printed(state: ReplayedState, table: str, header: tuple[str, ...]) -> list[dict[str, str | None]]:
    """Returns our rows as PostgreSQL prints them, with the columns of another's header."""
    names = [column.name for column in STATE_TABLES[table].columns]
    rows = (dict(zip(names, row, strict=True)) for row in state.rows(table))
    return [{name: postgres_text(row[name]) for name in header} for row in rows]


def test_states_are_those_of_todays_horizon(shared_data: Path) -> None:
    """It keeps deleted offers for a hundred ledgers; these are left out."""
    folders = sorted(path for path in (shared_data / "oracle/horizon-scenarios").iterdir() if path.is_dir())
    assert len(folders) == NEW_SCENARIOS
    for folder in folders:
        name = folder.name.removeprefix("diamante-")
        stream = shared_data / "public/diamante-block-go/scenarios" / f"{name}.lcm.xdr.zst"
        with replayed() as state:
            apply_all(state, stream, TESTNET)
            for table in HORIZON_TABLES:
                path = folder / "state" / f"{table}.csv.zst"
                if not path.exists():
                    assert state.rows(table) == [], f"{name} {table}"
                    continue
                header, rows = read_csv(path)
                theirs = [dict(zip(header, row, strict=True)) for row in rows]
                living = [row for row in theirs if row.get("deleted") != "t"]
                key = [column.name for column in STATE_TABLES[table].primary_key.columns]
                assert_same_rows(f"{name} {table}", printed(state, table, header), living, key)


@pytest.mark.postgres
@pytest.mark.parametrize("name", ["kahuna", "paths"])
def test_postgresql_prints_the_very_bytes_of_horizons_tables(name: str, shared_data: Path, postgres_url: str) -> None:
    stream = shared_data / "public/diamante-block-go/scenarios" / f"{name}.lcm.xdr.zst"
    with replayed(postgres_url) as state:
        apply_all(state, stream, TESTNET)
        for path in sorted((shared_data / f"oracle/horizon-scenarios/diamante-{name}/state").glob("*.csv.zst")):
            table = path.name.removesuffix(".csv.zst")
            if table not in STATE_TABLES:
                continue
            with path.open("rb") as file:
                header, *lines = zstandard.ZstdDecompressor().stream_reader(file).read().decode().splitlines()
            place = header.split(",").index("deleted") if "deleted" in header else None
            living = [line for line in lines if place is None or line.split(",")[place] != "t"]
            assert sorted(copied(postgres_url, table, header)) == sorted(living), table


def copied(url: str, table: str, columns: str) -> list[str]:
    with psycopg.connect(url) as connection:
        query = f"COPY (SELECT {columns} FROM {table}) TO STDOUT CSV"
        with connection.cursor().copy(query) as copy:  # type: ignore[arg-type]  # names of our own oracle
            return b"".join(copy).decode().splitlines()


@pytest.mark.parametrize("folder", FOLDERS)
def test_states_are_those_of_the_core_of_then(folder: str, shared_data: Path) -> None:
    paths = streams(shared_data, folder)
    assert len(paths) == FOLDERS[folder]
    for path in paths:
        with path.with_name(path.name.replace(".lcm.xdr.zst", ".json.zst")).open("rb") as file:
            scenario = json.load(zstandard.ZstdDecompressor().stream_reader(file))
        facts = {row["statename"].strip(): row["state"] for row in scenario["core_storestate"]}
        coded = int(facts["databaseschema"]) >= BASE64_TEXTS
        with replayed() as state:
            apply_all(state, path, Network(scenario["network_passphrase"]))
            for table, (ours, key) in CORE.items():
                theirs = [_core_row(row, coded=coded) for row in scenario["expected_state"].get(table, [])]
                found = [ours(dict(row)) for row in named(state, table)]
                columns = theirs[0].keys() if theirs else ()
                mine = [{name: row[name] for name in columns} for row in found] if theirs else found
                assert_same_rows(f"{folder} {path.name} {table}", mine, theirs, key)


NUMBERS = {"assettype", "tlimit", "balance", "offerid", "amount"}
TABLES = {"accounts": "accounts", "trustlines": "trust_lines", "offers": "offers", "accountdata": "accounts_data"}


def named(state: ReplayedState, table: str) -> list[dict[str, Any]]:
    names = [column.name for column in STATE_TABLES[TABLES[table]].columns]
    rows = [dict(zip(names, row, strict=True)) for row in state.rows(TABLES[table])]
    if table == "accounts":
        for row in rows:
            mine = [signer for signer in state.rows("accounts_signers") if signer[0] == row["account_id"]]
            row["signers"] = sorted((key, weight) for _, key, weight, _ in mine if key != row["account_id"])
    return rows


def _core_row(row: dict[str, Any], *, coded: bool) -> dict[str, Any]:
    """Returns a row of core's table with its texts decoded; columns that its core left empty count as zero."""
    row = dict(row)
    for name in ("homedomain", "dataname"):
        if name in row and coded:
            row[name] = base64.b64decode(row[name]).decode()
    for name in ("buyingliabilities", "sellingliabilities"):
        if name in row:
            row[name] = row[name] or 0
    for name in NUMBERS.intersection(row):
        row[name] = int(row[name])  # a dump has some of them in quotes
    if "signers" in row:
        listed = xdr_signers(row["signers"]) if row["signers"] else []
        row["signers"] = sorted(listed)
    # Older cores kept assets in columns of their own; the price stands there as n and d too.
    dropped = ("price", *(f"{side}asset{part}" for side in ("buying", "selling") for part in ("type", "code")))
    return {name: value for name, value in row.items() if name not in (*dropped, "buyingissuer", "sellingissuer")}


def xdr_signers(text: str) -> list[tuple[str, int]]:
    data = base64.b64decode(text)
    count, at = int.from_bytes(data[:4], "big"), 4
    found = []
    for _ in range(count):
        signer = xdr.Signer.from_xdr_bytes(data[at : at + 40])
        found.append((SignerKey.from_xdr_object(signer.key).encoded_signer_key, signer.weight.uint32))
        at += 40
    return found


def _account(row: dict[str, Any]) -> dict[str, Any]:
    names = ("master_weight", "threshold_low", "threshold_medium", "threshold_high")
    return {
        "accountid": row["account_id"],
        "balance": row["balance"],
        "seqnum": row["sequence_number"],
        "numsubentries": row["num_subentries"],
        "inflationdest": row["inflation_destination"] or None,
        "homedomain": row["home_domain"],
        "thresholds": base64.b64encode(bytes(row[name] for name in names)).decode(),
        "flags": row["flags"],
        "lastmodified": row["last_modified_ledger"],
        "buyingliabilities": row["buying_liabilities"],
        "sellingliabilities": row["selling_liabilities"],
        "signers": row["signers"],
    }


def _trust_line(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "accountid": row["account_id"],
        "assettype": row["asset_type"],
        "issuer": row["asset_issuer"],
        "assetcode": row["asset_code"],
        "tlimit": row["trust_line_limit"],
        "balance": row["balance"],
        "flags": row["flags"],
        "lastmodified": row["last_modified_ledger"],
        "buyingliabilities": row["buying_liabilities"],
        "sellingliabilities": row["selling_liabilities"],
    }


def _offer(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "sellerid": row["seller_id"],
        "offerid": row["offer_id"],
        "sellingasset": row["selling_asset"],
        "buyingasset": row["buying_asset"],
        "amount": row["amount"],
        "pricen": row["pricen"],
        "priced": row["priced"],
        "flags": row["flags"],
        "lastmodified": row["last_modified_ledger"],
        "buyingliabilities": 0,
        "sellingliabilities": 0,
    }


def _data(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "accountid": row["account_id"],
        "dataname": row["name"],
        "datavalue": row["value"],
        "lastmodified": row["last_modified_ledger"],
    }


CORE = {
    "accounts": (_account, ("accountid",)),
    "trustlines": (_trust_line, ("accountid", "assetcode", "issuer")),
    "offers": (_offer, ("offerid",)),
    "accountdata": (_data, ("accountid", "dataname")),
}
