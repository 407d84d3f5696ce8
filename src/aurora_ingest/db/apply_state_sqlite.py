"""One ledger into the state tables of SQLite: prepared statements, and sums in Python's unbounded integers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest.db import apply_contracts_sqlite as contracts
from aurora_ingest.db import order_book_removals
from aurora_ingest.db.load import load_batch
from aurora_ingest.db.state_change import AppliedRows, StateChange
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import StateError

ASSET_STATS: Final = "exp_asset_stats"
_ASSET: Final = ("asset_code", "asset_issuer", "asset_type")


@dataclass(frozen=True)
class SqliteStage:
    """A ledger whose rows wait in memory: SQLite has no server that they could be sent to."""

    change: StateChange

    @property
    def ledger(self) -> int:
        """The ledger."""
        return self.change.ledger

    def apply(self, connection: sa.Connection) -> Mapping[str, AppliedRows]:
        """Runs the statements; see apply_state.apply_state."""
        applied = {}
        for table, rows in self.change.tables.items():
            if rows.leaving.num_rows or rows.upserts.num_rows:
                left = _leave(connection, table, rows.leaving)
                _leave(connection, table, rows.upserts.select(STATE_TABLES[table].primary_key.columns.keys()))
                applied[table] = AppliedRows(load_batch(connection, table, rows.upserts), left)
        leaving = {table: rows.leaving for table, rows in self.change.tables.items() if rows.leaving.num_rows}
        order_book_removals.note_rows(connection, self.ledger, leaving)
        stats = self.change.asset_stats
        if stats is not None and stats.num_rows:
            applied[ASSET_STATS] = _add_asset_stats(connection, self.ledger, stats)
        if self.change.contracts is not None:
            applied |= contracts.apply(connection, self.ledger, self.change.network_id, self.change.contracts)
        return applied


def stage(_connection: sa.Connection, change: StateChange) -> SqliteStage:
    """Keeps the rows; see apply_state.stage_states."""
    return SqliteStage(change)


def _leave(connection: sa.Connection, table: str, keys: pa.RecordBatch) -> int:
    """Deletes rows by primary key, and returns how many there were."""
    if keys.num_rows == 0:
        return 0
    same = " AND ".join(f'"{key}" = ?' for key in keys.schema.names)
    driver: Any = connection.connection.driver_connection
    rows = zip(*(column.to_pylist() for column in keys.columns), strict=True)  # sqlite3 takes Python values only
    deleted: int = driver.executemany(f'DELETE FROM "{table}" WHERE {same}', rows).rowcount  # noqa: S608
    return deleted


def _add_asset_stats(connection: sa.Connection, ledger: int, stats: pa.RecordBatch) -> AppliedRows:
    """Adds the ledger's share to the asset statistics, asset by asset."""
    written = left = 0
    same = " AND ".join(f"{key} = ?" for key in _ASSET)
    driver: Any = connection.connection.driver_connection
    for share in stats.to_pylist():
        asset = tuple(share[key] for key in _ASSET)
        found = driver.execute(f"SELECT accounts, balances FROM {ASSET_STATS} WHERE {same}", asset).fetchone()  # noqa: S608
        accounts, balances = (
            _sums(share[column], found[place] if found else None)
            for place, column in enumerate(("accounts", "balances"))
        )
        if min(*accounts.values(), *balances.values()) < 0:
            raise StateError(
                f"ledger {ledger}: fewer than no holders of asset {asset[0]}:{asset[1]} would be left: "
                "the state is not that of the ledger before; build it again"
            )
        driver.execute(f"DELETE FROM {ASSET_STATS} WHERE {same}", asset)  # noqa: S608 - names are ours
        if not any(accounts.values()) and not any(balances.values()):
            left += found is not None
            continue
        texts = json.dumps(accounts), json.dumps({kind: str(sum_) for kind, sum_ in balances.items()})
        driver.execute(
            f"INSERT INTO {ASSET_STATS} ({', '.join(_ASSET)}, accounts, balances) VALUES (?, ?, ?, ?, ?)",  # noqa: S608
            (*asset, *texts),
        )
        written += 1
    return AppliedRows(written, left)


def _sums(share: str, former: str | None) -> dict[str, int]:
    """Adds the numbers of two JSON objects key by key; the keys keep the order of the first."""
    old = json.loads(former) if former else {}
    return {kind: int(number) + int(old.get(kind, 0)) for kind, number in json.loads(share).items()}
