"""Transactions of history for the service: one by a hash, a page of all or of a ledger's."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from aurora_ingest.db.history_tables import history_transactions
from aurora_ingest.db.read_pages import KeyPage, paged
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger.toid import toid_bounds

_COLUMNS = history_transactions.c
_RANGE: Final = re.compile(r"\[(\d*),(\d*)\)")


def read_transaction(connection: sa.Connection, transaction_hash: str, newest: int) -> sa.Row[Any] | None:
    """Returns the row of a transaction, None when it is not there.

    Args:
        connection: in a reading transaction.
        transaction_hash: of the transaction, or of the one inside of a fee bump; lower-case hex.
        newest: the ledger that the database stands at.
    """
    for column in (_COLUMNS.transaction_hash, _COLUMNS.inner_transaction_hash):
        query = sa.select(history_transactions).where(column == transaction_hash, _COLUMNS.ledger_sequence <= newest)
        row = connection.execute(query.order_by(_COLUMNS.id.desc()).limit(1)).first()
        if row is not None:
            return row
    return None


def read_transactions(
    connection: sa.Connection, ledgers: LedgerRange, page: KeyPage, *, with_failed: bool
) -> Sequence[sa.Row[Any]]:
    """Returns a page of the transactions of a range of ledgers.

    Args:
        connection: in a reading transaction.
        ledgers: the ledgers.
        page: by TOID.
        with_failed: those that failed, too.
    """
    query = sa.select(history_transactions).where(_COLUMNS.id.between(*toid_bounds(ledgers)))
    if not with_failed:
        query = query.where(_COLUMNS.successful)
    return connection.execute(paged(query, [_COLUMNS.id], page)).all()


def texts(value: Any) -> list[str] | None:
    """Returns the value of a column of several texts: PostgreSQL has arrays, SQLite has JSON."""
    found: list[str] | None = json.loads(value) if isinstance(value, str) else value
    return found


def bounds(value: Any) -> tuple[int | None, int | None] | None:
    """Returns lower and upper bound of a range column, each None where it is open; None for no range.

    PostgreSQL keeps a range whose bounds are equal as an empty one, without them.
    """
    if value is None or (isinstance(value, str) and value == "empty"):
        return None
    if isinstance(value, str):
        found = _RANGE.fullmatch(value)
        assert found is not None, f"range {value!r}"
        lower, upper = (int(each) if each else None for each in found.groups())
        return lower, upper
    return None if value.is_empty else (value.lower, value.upper)
