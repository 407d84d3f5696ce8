"""What all reads of collections share: pages by key, times at which ledgers closed, JSON of either database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from aurora_ingest.db.history_tables import history_ledgers


@dataclass(frozen=True)
class KeyPage:
    """One page of rows that are ordered by a key.

    Attributes:
        after: key that the page begins behind, None is the first page.
        descending: backwards.
        limit: most rows.
    """

    after: tuple[Any, ...] | None
    descending: bool
    limit: int


def paged(query: sa.Select[Any], keys: Sequence[sa.ColumnElement[Any]], page: KeyPage) -> sa.Select[Any]:
    """Narrows a query to a page, so that an index on the keys leads straight to its first row.

    Args:
        query: all rows.
        keys: columns that order them; together they are unique.
        page: which of them.
    """
    if page.after is not None:
        bound = [sa.literal(value, key.type) for key, value in zip(keys, page.after, strict=True)]
        left, right = (keys[0], bound[0]) if len(keys) == 1 else (sa.tuple_(*keys), sa.tuple_(*bound))
        query = query.where(left < right if page.descending else left > right)
    return query.order_by(*(key.desc() if page.descending else key.asc() for key in keys)).limit(page.limit)


def closing_times(connection: sa.Connection, ledgers: Iterable[int]) -> dict[int, datetime]:
    """Returns when ledgers closed, by sequence; of those that history has."""
    wanted = sorted(set(ledgers))
    if not wanted:
        return {}
    columns = history_ledgers.c
    query = sa.select(columns.sequence, columns.closed_at).where(columns.sequence.in_(wanted))
    return {row.sequence: row.closed_at for row in connection.execute(query)}


def json_value(value: Any) -> Any:
    """Returns the value of a JSON column: PostgreSQL's driver reads jsonb itself, SQLite has text."""
    return json.loads(value) if isinstance(value, str) else value
