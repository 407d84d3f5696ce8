"""Liquidity pools for the service: one, or a page of them by reserves or by who holds shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from aurora_ingest.db.engine import is_postgres
from aurora_ingest.db.read_pages import KeyPage, paged
from aurora_ingest.db.tables import liquidity_pools, trust_lines
from aurora_ingest.ledger.asset import Asset


def read_liquidity_pool(connection: sa.Connection, pool_id: str) -> sa.Row[Any] | None:
    """Returns the row of a pool, None if there is none of this id."""
    columns = liquidity_pools.c
    query = sa.select(liquidity_pools).where(columns.id == pool_id, sa.not_(columns.deleted))
    return connection.execute(query).first()


def read_liquidity_pools(
    connection: sa.Connection, reserves: Sequence[Asset], account: str | None, page: KeyPage
) -> Sequence[sa.Row[Any]]:
    """Returns a page of rows of pools, by id.

    Args:
        connection: in a reading transaction.
        reserves: assets that a pool has to hold, all of them.
        account: who has to have a trust line for its shares.
        page: which of them.
    """
    columns = liquidity_pools.c
    query = sa.select(liquidity_pools).where(sa.not_(columns.deleted))
    for asset in reserves:
        query = query.where(_holds(connection, asset))
    if account is not None:
        lines = trust_lines.c
        query = query.join(trust_lines, lines.liquidity_pool_id == columns.id)
        query = query.where(lines.account_id == account, lines.liquidity_pool_id != "")
    return connection.execute(paged(query, [columns.id], page)).all()


def _holds(connection: sa.Connection, asset: Asset) -> sa.ColumnElement[bool]:
    """Tells pools that hold an asset; in SQLite by the quoted key, which JSON has nowhere but as an asset's."""
    column = liquidity_pools.c.asset_reserves
    if is_postgres(connection):
        return sa.type_coerce(column, postgresql.JSONB).contains([{"asset": asset.key}])
    return sa.func.instr(column, f'"{asset.key}"') > 0
