"""One ledger into the state tables: its rows are sent before the lock, and server-side statements follow under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import sqlalchemy as sa

from aurora_ingest.db import apply_state_postgres, apply_state_sqlite
from aurora_ingest.db.engine import is_postgres
from aurora_ingest.db.state_change import AppliedRows, StateChange


class StagedState(Protocol):
    """A ledger whose rows the database holds ready."""

    @property
    def ledger(self) -> int:
        """The ledger."""

    def apply(self, connection: sa.Connection) -> Mapping[str, AppliedRows]:
        """Applies it; see `apply_state`."""


def stage_states(connection: sa.Connection, changes: Sequence[StateChange]) -> list[StagedState]:
    """Sends the rows of ledgers, the slow part that needs no lock and does not look at the state.

    In PostgreSQL they go by COPY into temporary tables of the session, one COPY for each table, however many ledgers
    there are; the tables are emptied when the transaction ends. In SQLite the rows are only made ready in memory.

    Args:
        connection: in the transaction in which the ledgers will be applied.
        changes: what each ledger does, ascending.

    Returns:
        The staged ledgers, in the same order.

    Raises:
        RowRejectedError: a value that its column cannot hold.
    """
    if is_postgres(connection):
        return [*apply_state_postgres.stage(connection, changes)]
    return [apply_state_sqlite.stage(connection, change) for change in changes]


def apply_state(connection: sa.Connection, staged: StagedState) -> Mapping[str, AppliedRows]:
    """Turns the state at the ledger before into that at this ledger, by statements that read only the database.

    Every table: rows that left go, rows that are there are written over. Asset statistics: what changed is added with
    exact arithmetic, and an asset that nobody holds leaves. Asset contracts and their balances: a row that expired in
    the ledger before leaves, though nothing changed it, before any is written; one whose time to live is set again
    returns, with the value that ``contract_data`` has. Nothing is committed.

    Args:
        connection: the one that staged, still in the same transaction, with the cursor row locked by the caller.
        staged: of `stage_states`; ledgers in ascending order without holes.

    Returns:
        Rows written and left, by table.

    Raises:
        StateError: the state is not the one that the ledger was applied to by the network.
    """
    return staged.apply(connection)
