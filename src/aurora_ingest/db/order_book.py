"""Offers, pools and balances of one moment, as the order book and its searches take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest.db import cursor, schema
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
        return OrderBookRows(
            ledger,
            _offers(connection),
            _liquidity_pools(connection),
            {} if account is None else _balances(connection, account),
        )


def _offers(connection: sa.Connection) -> pa.RecordBatch:
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
        .where(sa.not_(columns.deleted))
        .order_by(columns.offer_id),
        (pa.int64(), pa.string(), pa.string(), pa.string(), pa.int64(), pa.int32(), pa.int32()),
    )


def _liquidity_pools(connection: sa.Connection) -> pa.RecordBatch:
    columns = liquidity_pools.c
    reserves = sa.cast(columns.asset_reserves, sa.Text).label("asset_reserves")
    query = sa.select(columns.id, columns.fee, reserves).where(sa.not_(columns.deleted)).order_by(columns.id)
    return _batch(connection, query, (pa.string(), pa.int32(), pa.string()))


def _batch(connection: sa.Connection, query: sa.Select[Any], types: tuple[pa.DataType, ...]) -> pa.RecordBatch:
    """Reads a query's rows by column; drivers have no other way out than Python values."""
    names = [column.name for column in query.selected_columns]
    rows = connection.execute(query).all()
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
    return pa.record_batch(arrays, names=names)


def _balances(connection: sa.Connection, account: str) -> dict[Asset, int]:
    """What an account could pay with; its reserve is left to the network to judge, as Horizon does."""
    row = connection.execute(
        sa.select(accounts.c.balance, accounts.c.selling_liabilities).where(accounts.c.account_id == account)
    ).first()
    if row is None:
        raise UsageError(f"account {account} is not in the state")
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
