"""Offers, pools and balances of one moment, as the order book and its searches take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest.db import cursor, schema
from aurora_ingest.db.build_books import ingest_builds
from aurora_ingest.db.fencing import PUBLISHED
from aurora_ingest.db.order_book_removals import read_removals
from aurora_ingest.db.read_only import read_only_session
from aurora_ingest.db.tables import accounts, liquidity_pools, offers, trust_lines
from aurora_ingest.errors import DatabaseError, UsageError
from aurora_ingest.ledger.asset import Asset

_KINDS = ("native", "credit_alphanum4", "credit_alphanum12")
_AUTHORIZED = 1


@dataclass(frozen=True)
class OrderBookRows:
    """All that the order book is made of.

    Attributes:
        ledger: ledger that the rows stand at.
        offers: ``offer_id``, ``seller_id``, ``selling_asset``, ``buying_asset``, ``amount``, ``pricen``, ``priced``.
        liquidity_pools: ``id``, ``fee``, ``asset_reserves``.
        balances: what the payer asked about could pay with: stroops by asset, less what its offers hold back.
    """

    ledger: int
    offers: pa.RecordBatch
    liquidity_pools: pa.RecordBatch
    balances: dict[Asset, int]


@dataclass(frozen=True)
class OrderBookChanges:
    """What some ledgers, taken together, changed in the order book.

    Attributes:
        offers: those that are new or changed and still there.
        removed_offers: ids of those that left.
        liquidity_pools: those that are new or changed and still there.
        removed_pools: ids of those that left.
    """

    offers: pa.RecordBatch
    removed_offers: list[int]
    liquidity_pools: pa.RecordBatch
    removed_pools: list[str]


def read_order_book(engine: sa.Engine, account: str | None = None) -> OrderBookRows:
    """Reads the order book of one ledger.

    Args:
        engine: the database.
        account: a payer, ``G…``, whose balances are read with it.

    Raises:
        MigrationError: the schema is not ours.
        DatabaseError: there is no state yet, or it was found wrong.
        UsageError: there is no such account.
    """
    schema.require(engine)
    with read_only_session(engine) as connection:
        ledger = cursor.read_last_ledger(connection)
        if ledger is None:
            raise DatabaseError("the database holds no state yet; make one with aurora-ingest build-state")
        if cursor.read(connection, cursor.STATE_INVALID) == "true":
            raise DatabaseError(f"the state at ledger {ledger} was found wrong; build it anew with build-state")
        balances = {} if account is None else read_balances(connection, account)
        if balances is None:
            raise UsageError(f"account {account} is not in the state")
        return OrderBookRows(ledger, *read_rows(connection), balances)


def read_rows(connection: sa.Connection) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Reads all offers and all pools, in the transaction of the connection."""
    return _offers(connection, 0), _liquidity_pools(connection, 0)


def read_changes(connection: sa.Connection, after: int, to: int) -> OrderBookChanges | None:
    """Reads what changed since a ledger.

    Args:
        connection: in a reading transaction.
        after: the ledger whose order book is known.
        to: the ledger that the tables stand at.

    Returns:
        The changes; None if the database does not know them all any more.
    """
    removed = read_removals(connection, after, to)
    if removed is None:
        return None
    changed_offers, changed_pools = _offers(connection, after), _liquidity_pools(connection, after)
    # A pool of the same assets has the same id: it may have left and come again.
    there = set(changed_pools.column("id").to_pylist())
    return OrderBookChanges(
        changed_offers, removed[0], changed_pools, [pool for pool in removed[1] if pool not in there]
    )


def read_build_mark(connection: sa.Connection) -> str | None:
    """Returns what tells the state build that the tables come from from any other; None if there was none."""
    builds = ingest_builds.c
    query = (
        sa.select(builds.build_id, builds.epoch, builds.finished_at)
        .where(builds.status == PUBLISHED)
        .order_by(builds.finished_at.desc())
        .limit(1)
    )
    found = connection.execute(query).first()
    return None if found is None else "/".join(map(str, found))


def _offers(connection: sa.Connection, after: int) -> pa.RecordBatch:
    columns = offers.c
    return _batch(
        connection,
        sa.select(
            columns.offer_id,
            columns.seller_id,
            columns.selling_asset,
            columns.buying_asset,
            columns.amount,
            columns.pricen,
            columns.priced,
        )
        .where(sa.not_(columns.deleted), *_changed(columns.last_modified_ledger, after))
        .order_by(columns.offer_id),
        (pa.int64(), pa.string(), pa.string(), pa.string(), pa.int64(), pa.int32(), pa.int32()),
    )


def _changed(column: sa.ColumnElement[int], after: int) -> list[sa.ColumnElement[bool]]:
    return [column > after] if after else []


def _liquidity_pools(connection: sa.Connection, after: int) -> pa.RecordBatch:
    columns = liquidity_pools.c
    reserves = sa.cast(columns.asset_reserves, sa.Text).label("asset_reserves")
    query = sa.select(columns.id, columns.fee, reserves).order_by(columns.id)
    query = query.where(sa.not_(columns.deleted), *_changed(columns.last_modified_ledger, after))
    return _batch(connection, query, (pa.string(), pa.int32(), pa.string()))


def _batch(connection: sa.Connection, query: sa.Select[Any], types: tuple[pa.DataType, ...]) -> pa.RecordBatch:
    """Reads a query's rows by column; drivers have no other way out than Python values."""
    names = [column.name for column in query.selected_columns]
    rows = connection.execute(query).all()
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
    return pa.record_batch(arrays, names=names)


def read_balances(connection: sa.Connection, account: str) -> dict[Asset, int] | None:
    """Reads what an account could pay with; its reserve is left to the network to judge, as Horizon does.

    Returns:
        Stroops by asset, less what the account's offers hold back; None if there is no such account.
    """
    row = connection.execute(
        sa.select(accounts.c.balance, accounts.c.selling_liabilities).where(accounts.c.account_id == account)
    ).first()
    if row is None:
        return None
    lines = trust_lines.c
    query = sa.select(
        lines.asset_type, lines.asset_code, lines.asset_issuer, lines.balance, lines.selling_liabilities
    ).where(
        lines.account_id == account, lines.asset_type.in_((1, 2)), lines.flags.bitwise_and(_AUTHORIZED) == _AUTHORIZED
    )
    found = {Asset(_KINDS[0]): int(row.balance) - int(row.selling_liabilities)}
    for line in connection.execute(query):
        asset = Asset(_KINDS[line.asset_type], line.asset_code, line.asset_issuer)
        found[asset] = int(line.balance) - int(line.selling_liabilities)
    return found
