"""One ledger into SQLite's tables of asset contracts: what expired leaves, what lives is joined with its TTL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest.db.state_change import AppliedRows, AssetContractChange
from aurora_ingest.errors import StateError
from aurora_ingest.ledger.asset_contract import BALANCE, recognised

BALANCES: Final = "contract_asset_balances"
CONTRACTS: Final = "asset_contracts"
STATS: Final = "contract_asset_stats"


def apply(
    connection: sa.Connection, ledger: int, network_id: bytes, change: AssetContractChange
) -> Mapping[str, AppliedRows]:
    """Brings the three tables from the ledger before to this one; contract_data and ttl are there already.

    Raises:
        StateError: an asset contract's entry has no TTL, or a contract would have fewer than no holders.
    """
    driver: Any = connection.connection.driver_connection
    lives = list(zip(*(column.to_pylist() for column in change.lifetimes.columns), strict=True))
    keys = change.keys.column("key_hash").to_pylist()
    moved = [(until, key) for key, until, _ in lives]
    for table in (BALANCES, CONTRACTS):
        driver.executemany(f"UPDATE {table} SET expiration_ledger = ? WHERE key_hash = ?", moved)  # noqa: S608
    shares, holders = Counter[bytes](), Counter[bytes]()
    left = {}
    for table in (BALANCES, CONTRACTS):
        going = _there(driver, table, keys)
        expired = f"SELECT key_hash FROM {table} WHERE expiration_ledger < ?"  # noqa: S608
        going |= {row[0] for row in driver.execute(expired, (ledger,))}
        if table == BALANCES:
            for key in going:
                contract, amount = driver.execute(
                    f"SELECT asset_contract_id, amount FROM {BALANCES} WHERE key_hash = ?",  # noqa: S608
                    (key,),
                ).fetchone()
                shares[contract] -= int(amount)
                holders[contract] -= 1
        driver.executemany(f"DELETE FROM {table} WHERE key_hash = ?", [(key,) for key in going])  # noqa: S608
        left[table] = len(going)
    returning = {key for key, _, returned in lives if returned}
    written = Counter[str]()
    for rows in (change.rows, _returned(driver, returning, network_id)):
        for row in rows.to_pylist():
            until = _live_until(driver, ledger, row["key_hash"])
            if until < ledger:
                continue
            if row["kind"] == BALANCE:
                shares[row["contract_id"]] += int(row["amount"])
                holders[row["contract_id"]] += 1
            written[_insert(driver, row, until)] += 1
    applied = {table: AppliedRows(written[table], left[table]) for table in left}
    return applied | {STATS: _add_shares(driver, ledger, shares, holders)}


def _there(driver: Any, table: str, keys: Iterable[bytes]) -> set[bytes]:
    found = f"SELECT 1 FROM {table} WHERE key_hash = ?"  # noqa: S608 - names are ours
    return {key for key in keys if driver.execute(found, (key,)).fetchone()}


def _returned(driver: Any, keys: set[bytes], network_id: bytes) -> pa.RecordBatch:
    """Returns what lives again by its TTL alone; its value stands in contract_data."""
    there = _there(driver, BALANCES, keys) | _there(driver, CONTRACTS, keys)
    query = (
        "SELECT contract_id, key, value FROM contract_data "
        "WHERE key_hash = ? AND durability = 'persistent' AND contract_id IS NOT NULL"
    )
    stored = (driver.execute(query, (key,)).fetchone() for key in sorted(keys - there))
    return recognised([row for row in stored if row is not None], network_id)


def _live_until(driver: Any, ledger: int, key: bytes) -> int:
    found = driver.execute("SELECT live_until_ledger FROM ttl WHERE key_hash = ?", (key,)).fetchone()
    if found is None:
        raise StateError(
            f"ledger {ledger}: the asset-contract entry with key hash {key.hex()} has no TTL: "
            "the state is not that of the ledger before; build it again"
        )
    return int(found[0])


def _insert(driver: Any, row: Mapping[str, Any], live_until: int) -> str:
    """Writes an instance or a balance, and returns its table."""
    if row["kind"] == BALANCE:
        driver.execute(
            f"INSERT INTO {BALANCES} (key_hash, asset_contract_id, amount, expiration_ledger) VALUES (?, ?, ?, ?)",  # noqa: S608
            (row["key_hash"], row["contract_id"], f"{row['amount']:f}", live_until),
        )
        return BALANCES
    names = ("key_hash", "contract_id", "asset_type", "asset_code", "asset_issuer")
    driver.execute(
        f"INSERT INTO {CONTRACTS} ({', '.join(names)}, expiration_ledger) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
        (*(row[name] for name in names), live_until),
    )
    return CONTRACTS


def _add_shares(driver: Any, ledger: int, shares: Counter[bytes], holders: Counter[bytes]) -> AppliedRows:
    """Adds what balances that left and came make up for to their contracts' statistics."""
    written = left = 0
    for contract in sorted(holders):
        if not shares[contract] and not holders[contract]:
            continue
        found = driver.execute(f"SELECT stat FROM {STATS} WHERE contract_id = ?", (contract,)).fetchone()  # noqa: S608
        former: dict[str, Any] = json.loads(found[0]) if found else {"balance": 0, "holders": 0}
        count = int(former["holders"]) + holders[contract]
        if count < 0:
            raise StateError(
                f"ledger {ledger}: contract {contract.hex()} would have fewer than no holders: "
                "the state is not that of the ledger before; build it again"
            )
        driver.execute(f"DELETE FROM {STATS} WHERE contract_id = ?", (contract,))  # noqa: S608 - names are ours
        if count == 0:
            left += found is not None
            continue
        stat = json.dumps({"balance": str(int(former["balance"]) + shares[contract]), "holders": count})
        driver.execute(f"INSERT INTO {STATS} (contract_id, stat) VALUES (?, ?)", (contract, stat))  # noqa: S608
        written += 1
    return AppliedRows(written, left)
