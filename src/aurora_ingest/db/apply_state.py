"""One ledger into the state tables: its rows are sent before the lock, and server-side statements follow under it."""

from __future__ import annotations

from collections.abc import Mapping
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


def stage_state(connection: sa.Connection, change: StateChange) -> StagedState:
    """Sends the rows of a ledger, the slow part that needs no lock and does not look at the state.

    In PostgreSQL they go by COPY into temporary tables of the session, which are emptied when the transaction ends;
    several ledgers may be staged one after another. In SQLite they are only made ready in memory.

    Args:
        connection: in the transaction in which the ledger will be applied.
        change: what the ledger does.

    Raises:
        RowRejectedError: a value that its column cannot hold.
    """
    make = apply_state_postgres.stage if is_postgres(connection) else apply_state_sqlite.stage
    return make(connection, change)


def apply_state(connection: sa.Connection, staged: StagedState) -> Mapping[str, AppliedRows]:
    """Turns the state at the ledger before into that at this ledger, by statements that read only the database.

    Every table: rows that left go, rows that are there are written over. Asset statistics: what changed is added with
    exact arithmetic, and an asset that nobody holds leaves. Asset contracts and their balances: a row that expired in
    the ledger before leaves, though nothing changed it, before any is written; one whose time to live is set again
    returns, with the value that ``contract_data`` has. Nothing is committed.

    Args:
        connection: the one that staged, still in the same transaction, with the cursor row locked by the caller.
        staged: of `stage_state`; ledgers in ascending order without holes.

    Returns:
        Rows written and left, by table.

    Raises:
        StateError: the state is not the one that the ledger was applied to by the network.
    """
    return staged.apply(connection)
