"""Ledgers into the state tables of PostgreSQL: COPY into temporary tables, then statements that join them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest import _kernel
from aurora_ingest.db import apply_contracts_postgres as contracts
from aurora_ingest.db import order_book_removals
from aurora_ingest.db.load import copy_batch, postgres_types
from aurora_ingest.db.state_change import AppliedRows, StateChange
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import RowRejectedError, StateError

LEDGER: Final = "stage_ledger"
"""Column of every temporary table: the ledger whose row it is."""
ASSET_STATS: Final = "exp_asset_stats"
Part = tuple[int, pa.RecordBatch]
"""A ledger and rows of it."""


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
        contracts_changed: True if the ledger changed anything that they are made of; rows expire without that.
    """

    ledger: int
    network_id: bytes
    upserts: tuple[str, ...]
    leaving: tuple[str, ...]
    asset_stats: bool
    contracts: bool
    contracts_changed: bool

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
            applied |= contracts.apply(connection, self.ledger, self.network_id, send, changed=self.contracts_changed)
        return applied


def stage(connection: sa.Connection, changes: Sequence[StateChange]) -> list[PostgresStage]:
    """Sends the rows; see apply_state.stage_states."""
    parts: dict[str, tuple[sa.Table, list[Part]]] = {}

    def add(name: str, like: sa.Table, batch: pa.RecordBatch, ledger: int) -> bool:
        if batch.num_rows:
            parts.setdefault(name, (like, []))[1].append((ledger, batch))
        return bool(batch.num_rows)

    staged = []
    for change in changes:
        ledger = change.ledger
        tables = {name: (STATE_TABLES[name], rows) for name, rows in change.tables.items()}
        stats = change.asset_stats
        staged.append(
            PostgresStage(
                ledger=ledger,
                network_id=change.network_id,
                upserts=tuple(n for n, (like, rows) in tables.items() if add(_come(n), like, rows.upserts, ledger)),
                leaving=tuple(n for n, (like, rows) in tables.items() if add(_gone(n), like, rows.leaving, ledger)),
                asset_stats=stats is not None and add(_come(ASSET_STATS), STATE_TABLES[ASSET_STATS], stats, ledger),
                contracts=change.contracts is not None,
                contracts_changed=change.contracts is not None and contracts.stage(change.contracts, ledger, add),
            )
        )
    if any(each.contracts for each in staged):
        contracts.make_tables(connection, make_table)
    for name, (like, some) in parts.items():
        send(connection, name, like, some)
    return staged


def make_table(connection: sa.Connection, name: str, like: sa.Table, columns: Sequence[str]) -> None:
    """Makes a temporary table of the session, unless it is there.

    Args:
        connection: in a transaction.
        name: name of the temporary table.
        like: table that gives the columns their types.
        columns: names of its columns behind LEDGER, always the same and in the same order for the same name.
    """
    typed = [f'"{column}" {kind}' for column, kind in zip(columns, postgres_types(like, list(columns)), strict=True)]
    connection.exec_driver_sql(
        f'CREATE TEMPORARY TABLE IF NOT EXISTS "{name}" ({LEDGER} bigint, {", ".join(typed)}) ON COMMIT DELETE ROWS'
    )


def send(connection: sa.Connection, name: str, like: sa.Table, parts: Sequence[Part]) -> None:
    """Copies rows of ledgers into a temporary table of the session, which is made when it is not there.

    Args:
        connection: in a transaction.
        name: name of the temporary table.
        like: table that gives the columns their types.
        parts: ledgers and their rows, with columns named as the table's.

    Raises:
        RowRejectedError: a value that its column cannot hold.
    """
    batch = pa.concat_batches([rows for _, rows in parts])
    names = batch.schema.names
    make_table(connection, name, like, names)
    counts = [rows.num_rows for _, rows in parts]
    ledgers = pa.array(np.repeat(np.array([ledger for ledger, _ in parts], np.int64), counts))
    rows = pa.RecordBatch.from_arrays([ledgers, *batch.columns], names=[LEDGER, *names])
    try:
        copy_batch(connection, name, rows, ["bigint", *postgres_types(like, names)])
    except _kernel.RowError as error:
        ledger = parts[0][0] if len(parts) == 1 else f"{parts[0][0]} to {parts[-1][0]}"
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
