"""One ledger into the state tables of PostgreSQL: COPY into temporary tables, then statements that join them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest import _kernel
from aurora_ingest.db import apply_contracts_postgres as contracts
from aurora_ingest.db import order_book_removals
from aurora_ingest.db.load import COPY_ROWS, postgres_types
from aurora_ingest.db.state_change import AppliedRows, StateChange
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import RowRejectedError, StateError

LEDGER: Final = "stage_ledger"
"""Column of every temporary table: the ledger whose row it is."""
ASSET_STATS: Final = "exp_asset_stats"


@dataclass(frozen=True)
class PostgresStage:
    """A ledger whose rows stand in temporary tables.

    Attributes:
        ledger: the ledger.
        network_id: SHA-256 of the passphrase.
        upserts: tables that get rows.
        leaving: tables that lose rows.
        asset_stats: True if asset statistics change.
        contracts: True if the tables of asset contracts are kept.
    """

    ledger: int
    network_id: bytes
    upserts: tuple[str, ...]
    leaving: tuple[str, ...]
    asset_stats: bool
    contracts: bool

    def apply(self, connection: sa.Connection) -> Mapping[str, AppliedRows]:
        """Runs the statements; see apply_state.apply_state."""
        left = {table: _leave(connection, table, self.ledger) for table in self.leaving}
        written = {table: _upsert(connection, table, self.ledger) for table in self.upserts}
        sent = {table: (_gone(table), LEDGER) for table in self.leaving}
        order_book_removals.note_sent(connection, self.ledger, sent)
        applied = {table: AppliedRows(written.get(table, 0), left.get(table, 0)) for table in {**left, **written}}
        if self.asset_stats:
            applied[ASSET_STATS] = _add_asset_stats(connection, self.ledger)
        if self.contracts:
            applied |= contracts.apply(connection, self.ledger, self.network_id, send)
        return applied


def stage(connection: sa.Connection, change: StateChange) -> PostgresStage:
    """Sends the rows; see apply_state.stage_state."""
    upserts, leaving = [], []
    for table, rows in change.tables.items():
        if rows.leaving.num_rows:
            send(connection, _gone(table), STATE_TABLES[table], rows.leaving, change.ledger)
            leaving.append(table)
        if rows.upserts.num_rows:
            send(connection, _come(table), STATE_TABLES[table], rows.upserts, change.ledger)
            upserts.append(table)
    stats = change.asset_stats
    if stats is not None and stats.num_rows:
        send(connection, _come(ASSET_STATS), STATE_TABLES[ASSET_STATS], stats, change.ledger)
    if change.contracts is not None:
        contracts.stage(connection, change.contracts, change.ledger, send)
    return PostgresStage(
        ledger=change.ledger,
        network_id=change.network_id,
        upserts=tuple(upserts),
        leaving=tuple(leaving),
        asset_stats=stats is not None and stats.num_rows > 0,
        contracts=change.contracts is not None,
    )


def send(connection: sa.Connection, name: str, like: sa.Table, batch: pa.RecordBatch, ledger: int) -> None:
    """Copies a batch into a temporary table of the session, which is made when it is not there.

    Args:
        connection: in a transaction.
        name: name of the temporary table.
        like: table that gives the columns their types.
        batch: columns named as the table's; their order is that of the temporary table for the whole session.
        ledger: the ledger whose rows these are.

    Raises:
        RowRejectedError: a value that its column cannot hold.
    """
    names = batch.schema.names
    types = postgres_types(like, names)
    columns = [f'"{column}" {kind}' for column, kind in zip(names, types, strict=True)]
    connection.exec_driver_sql(
        f'CREATE TEMPORARY TABLE IF NOT EXISTS "{name}" ({LEDGER} bigint, {", ".join(columns)}) ON COMMIT DELETE ROWS'
    )
    ledgers = pa.repeat(pa.scalar(ledger, pa.int64()), batch.num_rows)
    rows = pa.RecordBatch.from_arrays([ledgers, *batch.columns], names=[LEDGER, *names])
    listed = ", ".join(f'"{column}"' for column in rows.schema.names)
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f'COPY "{name}" ({listed}) FROM STDIN (FORMAT binary)') as copy:
            copy.write(_kernel.COPY_HEADER)
            for start in range(0, rows.num_rows, COPY_ROWS):
                copy.write(_kernel.copy_rows(rows.slice(start, COPY_ROWS), ["bigint", *types]))
            copy.write(_kernel.COPY_TRAILER)
    except _kernel.RowError as error:
        raise RowRejectedError(f"table {like.name}, ledger {ledger}: {error}") from error


def _come(table: str) -> str:
    return f"live_{table}"


def _gone(table: str) -> str:
    return f"live_{table}_gone"


def _leave(connection: sa.Connection, table: str, ledger: int) -> int:
    same = " AND ".join(f't."{key}" = g."{key}"' for key in _keys(table))
    statement = f'DELETE FROM "{table}" t USING "{_gone(table)}" g WHERE g.{LEDGER} = {ledger:d} AND {same}'  # noqa: S608
    return connection.exec_driver_sql(statement).rowcount


def _upsert(connection: sa.Connection, table: str, ledger: int) -> int:
    columns = [column.name for column in STATE_TABLES[table].columns]
    keys = _keys(table)
    statement = (
        f'INSERT INTO "{table}" ({_list(columns)}) '  # noqa: S608 - names are ours
        f'SELECT {_list(columns)} FROM "{_come(table)}" WHERE {LEDGER} = {ledger:d} '
        f"ON CONFLICT ({_list(keys)}) DO UPDATE SET "
        + ", ".join(f'"{column}" = EXCLUDED."{column}"' for column in columns if column not in keys)
    )
    return connection.exec_driver_sql(statement).rowcount


def _keys(table: str) -> list[str]:
    return [column.name for column in STATE_TABLES[table].primary_key.columns]


def _list(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


HOLDERS: Final = (
    "authorized",
    "unauthorized",
    "liquidity_pools",
    "claimable_balances",
    "authorized_to_maintain_liabilities",
)
"""Keys of the jsonb columns of exp_asset_stats."""
_ASSET: Final = ("asset_code", "asset_issuer", "asset_type")


def _add_asset_stats(connection: sa.Connection, ledger: int) -> AppliedRows:
    """Adds the ledger's share to the asset statistics; numeric has no bound that sums could reach."""
    accounts = _added("accounts", "bigint", "")
    balances = _added("balances", "numeric", "::text")
    columns = _list([*_ASSET, "accounts", "balances"])
    staged = f'FROM "{_come(ASSET_STATS)}" WHERE {LEDGER} = {ledger:d}'
    written = connection.exec_driver_sql(
        f"INSERT INTO {ASSET_STATS} AS s ({columns}) SELECT {columns} {staged} "
        f"ON CONFLICT ({_list(_ASSET)}) DO UPDATE SET accounts = {accounts}, balances = {balances}"
    ).rowcount
    mine = " AND ".join(f's."{key}" = d."{key}"' for key in _ASSET)
    numbers = [f"(s.{column}->>'{kind}')::numeric" for column in ("accounts", "balances") for kind in HOLDERS]
    below = connection.exec_driver_sql(
        f'SELECT s.asset_code, s.asset_issuer FROM {ASSET_STATS} s, "{_come(ASSET_STATS)}" d '  # noqa: S608
        f"WHERE d.{LEDGER} = {ledger:d} AND {mine} AND LEAST({', '.join(numbers)}) < 0 LIMIT 1"
    ).first()
    if below is not None:
        raise StateError(
            f"ledger {ledger}: fewer than no holders of asset {below[0]}:{below[1]} would be left: "
            "the state is not that of the ledger before; build it again"
        )
    left = connection.exec_driver_sql(
        f'DELETE FROM {ASSET_STATS} s USING "{_come(ASSET_STATS)}" d '  # noqa: S608 - names are ours
        f"WHERE d.{LEDGER} = {ledger:d} AND {mine} AND GREATEST({', '.join(numbers)}) = 0"
    ).rowcount
    return AppliedRows(written - left, left)


def _added(column: str, kind: str, as_text: str) -> str:
    """Returns the jsonb of the sums of a column's numbers in the old row and in the excluded one."""
    pairs = (
        f"'{key}', ((s.{column}->>'{key}')::{kind} + (EXCLUDED.{column}->>'{key}')::{kind}){as_text}" for key in HOLDERS
    )
    return f"jsonb_build_object({', '.join(pairs)})"
