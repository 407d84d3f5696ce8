"""The pairs of assets that can be exchanged at one ledger: those with an offer or with a pool that holds something."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import sqlalchemy as sa

from aurora_ingest.db.read_pages import json_value
from aurora_ingest.db.tables import liquidity_pools, offers
from aurora_ingest.ledger.asset import Asset


@dataclass(frozen=True)
class TradedPair:
    """Two assets that can be exchanged.

    Attributes:
        base: the one that comes first in stellar-core's order of assets.
        counter: the other one.
        asks: offers that sell the base asset.
        bids: offers that buy it.
        has_pool: whether a liquidity pool holds both.
    """

    base: Asset
    counter: Asset
    asks: int
    bids: int
    has_pool: bool


def read_traded_pairs(connection: sa.Connection) -> tuple[TradedPair, ...]:
    """Returns all pairs, those with most offers first.

    Reads an index over all offers, and all pools: for callers that remember the answer.
    """
    columns = offers.c
    counts: dict[tuple[str, str], list[int]] = {}
    count = sa.func.count().label("offers")
    query = sa.select(columns.selling_asset, columns.buying_asset, count).where(sa.not_(columns.deleted))
    for selling, buying, found in connection.execute(query.group_by(columns.selling_asset, columns.buying_asset)):
        sells_base = is_base(selling, buying)
        key = (selling, buying) if sells_base else (buying, selling)
        counts.setdefault(key, [0, 0])[0 if sells_base else 1] = int(found)
    pools = _pools(connection)
    for key in pools:
        counts.setdefault(key, [0, 0])
    pairs = (
        TradedPair(Asset.of_key(base), Asset.of_key(counter), asks, bids, (base, counter) in pools)
        for (base, counter), (asks, bids) in counts.items()
    )
    return tuple(sorted(pairs, key=lambda pair: (-pair.asks - pair.bids, str(pair.base), str(pair.counter))))


def is_base(one: str, other: str) -> bool:
    """Tells whether an asset, as the tables name it, comes before another one in stellar-core's order."""
    return base64.b64decode(one) < base64.b64decode(other)


def _pools(connection: sa.Connection) -> set[tuple[str, str]]:
    columns = liquidity_pools.c
    found = set()
    for (reserves,) in connection.execute(sa.select(columns.asset_reserves).where(sa.not_(columns.deleted))):
        first, second = json_value(reserves)
        if int(first["reserve"]) > 0 and int(second["reserve"]) > 0:
            one, other = str(first["asset"]), str(second["asset"])
            found.add((one, other) if is_base(one, other) else (other, one))
    return found
