"""One ledger into PostgreSQL's tables of asset contracts: what expired leaves, what lives is joined with its TTL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest.db.state_change import AppliedRows, AssetContractChange
from aurora_ingest.errors import StateError
from aurora_ingest.ledger.asset_contract import BALANCE, INSTANCE, recognised

Send = Callable[[sa.Connection, str, sa.Table, pa.RecordBatch, int], None]

BALANCES: Final = "contract_asset_balances"
CONTRACTS: Final = "asset_contracts"
STATS: Final = "contract_asset_stats"
_ROWS: Final = "live_asset_rows"
_KEYS: Final = "live_asset_keys"
_LIVES: Final = "live_asset_lives"
_SHARES: Final = "live_contract_shares"
_ROWS_TABLE: Final = sa.Table(
    _ROWS,
    sa.MetaData(),
    sa.Column("key_hash", sa.LargeBinary()),
    sa.Column("contract_id", sa.LargeBinary()),
    sa.Column("kind", sa.Integer()),
    sa.Column("asset_type", sa.Integer()),
    sa.Column("asset_code", sa.Text()),
    sa.Column("asset_issuer", sa.Text()),
    sa.Column("amount", sa.Numeric(39, 0)),
    sa.Column("live_until_ledger", sa.BigInteger()),
    sa.Column("returned", sa.Boolean()),
)


def stage(connection: sa.Connection, change: AssetContractChange, ledger: int, send: Send) -> None:
    """Sends rows, keys and lifetimes; empty ones too, since the statements name every temporary table."""
    send(connection, _ROWS, _ROWS_TABLE, change.rows, ledger)
    send(connection, _KEYS, _ROWS_TABLE, change.keys, ledger)
    send(connection, _LIVES, _ROWS_TABLE, change.lifetimes, ledger)


def apply(connection: sa.Connection, ledger: int, network_id: bytes, send: Send) -> Mapping[str, AppliedRows]:
    """Brings the three tables from the ledger before to this one; contract_data and ttl are there already.

    Raises:
        StateError: an asset contract's entry has no TTL, or a contract would have fewer than no holders.
    """
    number = {"ledger": ledger}

    def run(statement: str) -> int:
        return connection.execute(sa.text(statement), number).rowcount

    run(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {_SHARES} "
        "(stage_ledger bigint, contract_id bytea, balance numeric, holders bigint) ON COMMIT DELETE ROWS"
    )
    for table in (BALANCES, CONTRACTS):
        run(
            f"UPDATE {table} t SET expiration_ledger = l.live_until_ledger FROM {_LIVES} l "  # noqa: S608
            "WHERE l.stage_ledger = :ledger AND t.key_hash = l.key_hash"
        )
    changed = f"USING {_KEYS} k WHERE k.stage_ledger = :ledger AND t.key_hash = k.key_hash"
    expired = "WHERE t.expiration_ledger < :ledger"
    left = {
        BALANCES: sum(
            run(
                f"WITH gone AS (DELETE FROM {BALANCES} t {which} RETURNING asset_contract_id, amount) "  # noqa: S608
                f"INSERT INTO {_SHARES} SELECT :ledger, asset_contract_id, -amount, -1 FROM gone"
            )
            for which in (changed, expired)
        ),
        CONTRACTS: sum(run(f"DELETE FROM {CONTRACTS} t {which}") for which in (changed, expired)),  # noqa: S608
    }
    back = _returned(connection, ledger, network_id)
    if back.num_rows:
        send(connection, _ROWS, _ROWS_TABLE, back, ledger)
    _require_ttl(connection, ledger)
    lives = (
        f"FROM {_ROWS} r JOIN ttl ON ttl.key_hash = r.key_hash "
        "WHERE r.stage_ledger = :ledger AND ttl.live_until_ledger >= :ledger AND r.kind ="
    )
    written = {
        BALANCES: run(
            f"WITH come AS (INSERT INTO {BALANCES} (key_hash, asset_contract_id, amount, expiration_ledger) "  # noqa: S608
            f"SELECT r.key_hash, r.contract_id, r.amount, ttl.live_until_ledger {lives} {BALANCE} "
            f"RETURNING asset_contract_id, amount) "
            f"INSERT INTO {_SHARES} SELECT :ledger, asset_contract_id, amount, 1 FROM come"
        ),
        CONTRACTS: run(
            f"INSERT INTO {CONTRACTS} "
            "(key_hash, contract_id, asset_type, asset_code, asset_issuer, expiration_ledger) "
            "SELECT r.key_hash, r.contract_id, r.asset_type, r.asset_code, r.asset_issuer, ttl.live_until_ledger "
            f"{lives} {INSTANCE}"
        ),
    }
    applied = {table: AppliedRows(written[table], left[table]) for table in written}
    return applied | {STATS: _add_shares(connection, ledger)}


def _returned(connection: sa.Connection, ledger: int, network_id: bytes) -> pa.RecordBatch:
    """Returns what lives again by its TTL alone; its value stands in contract_data."""
    rows = connection.execute(
        sa.text(
            f"SELECT d.contract_id, d.key, d.value FROM {_LIVES} l "  # noqa: S608 - names are ours
            "JOIN contract_data d ON d.key_hash = l.key_hash "
            "WHERE l.stage_ledger = :ledger AND l.returned AND d.durability = 'persistent' "
            "AND d.contract_id IS NOT NULL "
            f"AND NOT EXISTS (SELECT 1 FROM {BALANCES} b WHERE b.key_hash = l.key_hash) "
            f"AND NOT EXISTS (SELECT 1 FROM {CONTRACTS} c WHERE c.key_hash = l.key_hash)"
        ),
        {"ledger": ledger},
    ).all()
    return recognised(((bytes(row[0]), bytes(row[1]), bytes(row[2])) for row in rows), network_id)


def _require_ttl(connection: sa.Connection, ledger: int) -> None:
    lost = connection.execute(
        sa.text(
            f"SELECT r.key_hash FROM {_ROWS} r WHERE r.stage_ledger = :ledger "  # noqa: S608 - names are ours
            "AND NOT EXISTS (SELECT 1 FROM ttl WHERE ttl.key_hash = r.key_hash) LIMIT 1"
        ),
        {"ledger": ledger},
    ).scalar_one_or_none()
    if lost is not None:
        raise StateError(
            f"ledger {ledger}: the asset-contract entry with key hash {bytes(lost).hex()} has no TTL: "
            "the state is not that of the ledger before; build it again"
        )


def _add_shares(connection: sa.Connection, ledger: int) -> AppliedRows:
    """Adds what balances that left and came make up for to their contracts' statistics."""
    number = {"ledger": ledger}
    sums = (
        f"SELECT contract_id, sum(balance) AS balance, sum(holders)::bigint AS holders FROM {_SHARES} "  # noqa: S608
        "WHERE stage_ledger = :ledger GROUP BY contract_id"
    )
    written = connection.execute(
        sa.text(
            f"INSERT INTO {STATS} AS s (contract_id, stat) "  # noqa: S608 - names are ours
            f"SELECT contract_id, jsonb_build_object('balance', balance::text, 'holders', holders) FROM ({sums}) d "
            "WHERE balance <> 0 OR holders <> 0 ON CONFLICT (contract_id) DO UPDATE SET stat = jsonb_build_object("
            "'balance', ((s.stat->>'balance')::numeric + (EXCLUDED.stat->>'balance')::numeric)::text, "
            "'holders', (s.stat->>'holders')::bigint + (EXCLUDED.stat->>'holders')::bigint)"
        ),
        number,
    ).rowcount
    mine = f"s.contract_id IN (SELECT contract_id FROM {_SHARES} WHERE stage_ledger = :ledger)"  # noqa: S608
    below = f"SELECT s.contract_id FROM {STATS} s WHERE {mine} AND (s.stat->>'holders')::bigint < 0 LIMIT 1"  # noqa: S608
    contract = connection.execute(sa.text(below), number).scalar_one_or_none()
    if contract is not None:
        raise StateError(
            f"ledger {ledger}: contract {bytes(contract).hex()} would have fewer than no holders: "
            "the state is not that of the ledger before; build it again"
        )
    empty = f"DELETE FROM {STATS} s WHERE {mine} AND (s.stat->>'holders')::bigint = 0"  # noqa: S608 - names are ours
    left = connection.execute(sa.text(empty), number).rowcount
    return AppliedRows(written - left, left)
