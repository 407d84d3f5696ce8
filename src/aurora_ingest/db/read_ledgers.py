"""Ledgers of history for the service: one, a page of them, and where history begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from aurora_ingest.db.history_tables import history_ledgers

_LEDGERS = history_ledgers.c


def read_elder_ledger(connection: sa.Connection) -> int | None:
    """Returns the first ledger of history, None when there is none."""
    found: int | None = connection.execute(sa.select(sa.func.min(_LEDGERS.sequence))).scalar_one()
    return found


def read_ledger(connection: sa.Connection, sequence: int) -> sa.Row[Any] | None:
    """Returns the row of a ledger, None when it is not there."""
    return connection.execute(sa.select(history_ledgers).where(_LEDGERS.sequence == sequence)).first()


def read_ledgers(
    connection: sa.Connection, newest: int, cursor: int | None, limit: int, *, descending: bool
) -> Sequence[sa.Row[Any]]:
    """Returns a page of ledgers.

    Args:
        connection: in a reading transaction.
        newest: the ledger that the database stands at; later ones, which a reingest may have written, are not shown.
        cursor: sequence that the page begins behind; None is the first page.
        limit: most rows.
        descending: backwards.
    """
    query = sa.select(history_ledgers).where(_LEDGERS.sequence <= newest).limit(limit)
    if descending:
        query = query.order_by(_LEDGERS.sequence.desc())
        return connection.execute(query if cursor is None else query.where(_LEDGERS.sequence < cursor)).all()
    query = query.order_by(_LEDGERS.sequence)
    return connection.execute(query if cursor is None else query.where(_LEDGERS.sequence > cursor)).all()
