"""One ledger into PostgreSQL's tables of asset contracts: what expired leaves, what lives is joined with its TTL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest.db.state_change import LIFETIMES, AppliedRows, AssetContractChange
from aurora_ingest.errors import StateError
from aurora_ingest.ledger.asset_contract import BALANCE, INSTANCE, SCHEMA, recognised

Add = Callable[[str, sa.Table, pa.RecordBatch, int], bool]
Send = Callable[[sa.Connection, str, sa.Table, Sequence[tuple[int, pa.RecordBatch]]], None]
MakeTable = Callable[[sa.Connection, str, sa.Table, Sequence[str]], None]

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
_SHARES_TABLE: Final = sa.Table(
    _SHARES,
    sa.MetaData(),
    sa.Column("contract_id", sa.LargeBinary()),
    sa.Column("balance", sa.Numeric()),
    sa.Column("holders", sa.BigInteger()),
)


def stage(change: AssetContractChange, ledger: int, add: Add) -> bool:
    """Gives rows, keys and lifetimes to be sent, and tells whether there are any."""
    parts = ((_ROWS, change.rows), (_KEYS, change.keys), (_LIVES, change.lifetimes))
    given = [add(name, _ROWS_TABLE, batch, ledger) for name, batch in parts]
    return any(given)


def make_tables(connection: sa.Connection, make_table: MakeTable) -> None:
    """Makes the temporary tables, since the statements name each of them."""
    for name, columns in ((_ROWS, SCHEMA.names), (_KEYS, ["key_hash"]), (_LIVES, LIFETIMES.names)):
        make_table(connection, name, _ROWS_TABLE, columns)
    make_table(connection, _SHARES, _SHARES_TABLE, _SHARES_TABLE.columns.keys())


def apply(
    connection: sa.Connection, ledger: int, network_id: bytes, send: Send, *, changed: bool
) -> Mapping[str, AppliedRows]:
    """Brings the three tables from the ledger before to this one; contract_data and ttl are there already.

    Args:
        connection: in the transaction that staged.
        ledger: the ledger.
        network_id: SHA-256 of the passphrase.
        send: sends further rows.
        changed: False if `stage` found nothing; then rows only expire.

    Raises:
        StateError: an asset contract's entry has no TTL, or a contract would have fewer than no holders.
    """
    number = {"ledger": ledger}

    def run(statement: str) -> int:
        return connection.execute(sa.text(statement), number).rowcount

    if changed:
        for table in (BALANCES, CONTRACTS):
            run(
                f"UPDATE {table} t SET expiration_ledger = l.live_until_ledger FROM {_LIVES} l "  # noqa: S608
                "WHERE l.stage_ledger = :ledger AND t.key_hash = l.key_hash"
            )
    touched = f"USING {_KEYS} k WHERE k.stage_ledger = :ledger AND t.key_hash = k.key_hash"
    expired = "WHERE t.expiration_ledger < :ledger"
    leaving = (touched, expired) if changed else (expired,)
    left = {
        BALANCES: sum(
            run(
                f"WITH gone AS (DELETE FROM {BALANCES} t {which} RETURNING asset_contract_id, amount) "  # noqa: S608
                f"INSERT INTO {_SHARES} SELECT :ledger, asset_contract_id, -amount, -1 FROM gone"
            )
            for which in leaving
        ),
        CONTRACTS: sum(run(f"DELETE FROM {CONTRACTS} t {which}") for which in leaving),  # noqa: S608
    }
    written = _write_living(connection, ledger, network_id, send) if changed else dict.fromkeys(left, 0)
    applied = {table: AppliedRows(written[table], left[table]) for table in written}
    moved = left[BALANCES] or written[BALANCES]
    return applied | {STATS: _add_shares(connection, ledger) if moved else AppliedRows()}


def _write_living(connection: sa.Connection, ledger: int, network_id: bytes, send: Send) -> dict[str, int]:
    """Writes the rows that changed, or returned, and live; returns how many by table."""
    number = {"ledger": ledger}

    def run(statement: str) -> int:
        return connection.execute(sa.text(statement), number).rowcount

    back = _returned(connection, ledger, network_id)
    if back.num_rows:
        send(connection, _ROWS, _ROWS_TABLE, [(ledger, back)])
    _require_ttl(connection, ledger)
    lives = (
        f"FROM {_ROWS} r JOIN ttl ON ttl.key_hash = r.key_hash "
        "WHERE r.stage_ledger = :ledger AND ttl.live_until_ledger >= :ledger AND r.kind ="
    )
    return {
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
