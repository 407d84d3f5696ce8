"""The pairs of assets that can be exchanged at one ledger: those with an offer or with a pool that holds something."""

from __future__ import annotations

import base64
from functools import cache
from typing import NamedTuple

import sqlalchemy as sa

from aurora_ingest.db.read_pages import json_value
from aurora_ingest.db.tables import liquidity_pools, offers
from aurora_ingest.ledger.asset import Asset


class TradedPair(NamedTuple):
    """Two assets that can be exchanged; there may be a hundred thousand of these.

    Attributes:
        base: the one that comes first in stellar-core's order of assets, ``native`` or ``CODE:ISSUER``.
        counter: the other one.
        asks: offers that sell the base asset.
        bids: offers that buy it.
        has_pool: whether a liquidity pool holds both.
    """

    base: str
    counter: str
    asks: int
    bids: int
    has_pool: bool

    @property
    def offers(self) -> int:
        """Offers on both sides."""
        return self.asks + self.bids


def read_traded_pairs(connection: sa.Connection) -> tuple[TradedPair, ...]:
    """Returns all pairs, those with most offers first.

    Reads an index over all offers, and all pools: for callers that remember the answer.
    """

    @cache
    def order(key: str) -> bytes:
        return base64.b64decode(key)

    @cache
    def name(key: str) -> str:
        return str(Asset.of_key(key))

    columns = offers.c
    counts: dict[tuple[str, str], list[int]] = {}
    query = sa.select(columns.selling_asset, columns.buying_asset, sa.func.count()).where(sa.not_(columns.deleted))
    rows = connection.execute(query.group_by(columns.selling_asset, columns.buying_asset)).all()
    for selling, buying, found in rows:
        if order(selling) < order(buying):
            counts.setdefault((selling, buying), [0, 0])[0] = found
        else:
            counts.setdefault((buying, selling), [0, 0])[1] = found
    pools = {(one, other) if order(one) < order(other) else (other, one) for one, other in _pools(connection)}
    for key in pools:
        counts.setdefault(key, [0, 0])
    pairs = [
        TradedPair(name(base), name(counter), asks, bids, (base, counter) in pools)
        for (base, counter), (asks, bids) in counts.items()
    ]
    return tuple(sorted(pairs, key=lambda pair: (-pair.offers, pair.base, pair.counter)))


def is_base(one: str, other: str) -> bool:
    """Tells whether an asset, as the tables name it, comes before another one in stellar-core's order."""
    return base64.b64decode(one) < base64.b64decode(other)


def _pools(connection: sa.Connection) -> list[tuple[str, str]]:
    columns = liquidity_pools.c
    found = []
    for (reserves,) in connection.execute(sa.select(columns.asset_reserves).where(sa.not_(columns.deleted))):
        first, second = json_value(reserves)
        if int(first["reserve"]) > 0 and int(second["reserve"]) > 0:
            found.append((str(first["asset"]), str(second["asset"])))
    return found
