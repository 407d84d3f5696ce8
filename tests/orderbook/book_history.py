"""The rows that order_book_levels should have, made anew from offers and pools at every ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from aurora_ingest.db.order_book_tables import order_book_levels
from aurora_ingest.db.tables import liquidity_pools, offers
from aurora_ingest.ledger.asset import Asset
from orderbook.order_books import Offer, Pool
from orderbook.plain_levels import PlainState, ordered

Rows = dict[tuple[int, str, str], dict[str, Any]]


def state_of_tables(connection: sa.Connection) -> PlainState:
    """Offers and pools as the tables of the state have them."""
    found = connection.execute(sa.select(offers).where(sa.not_(offers.c.deleted)))
    pools = connection.execute(sa.select(liquidity_pools).where(sa.not_(liquidity_pools.c.deleted)))
    return PlainState(
        {row.offer_id: _offer(row) for row in found},
        {row.id: _pool(row.id, row.asset_reserves, row.fee) for row in pools},
    )


def _offer(row: Any) -> Offer:
    selling, buying = Asset.of_key(row.selling_asset), Asset.of_key(row.buying_asset)
    return Offer(row.offer_id, selling, buying, row.pricen, row.priced, row.amount)


def _pool(pool_id: str, reserves: Any, fee: int) -> Pool:
    first, second = json.loads(reserves) if isinstance(reserves, str) else reserves
    assets = (Asset.of_key(side["asset"]) for side in (first, second))
    return Pool(pool_id, *assets, *(int(side["reserve"]) for side in (first, second)), fee)


def expected_rows(states: Mapping[int, PlainState], depth: int) -> Rows:
    """Rows of every ledger after the first state: of the pairs that differ from the ledger before."""
    rows: Rows = {}
    for ledger in sorted(states)[1:]:
        before, after = _by_pair(states[ledger - 1]), _by_pair(states[ledger])
        for pair in before.keys() | after.keys():
            if before.get(pair) != after.get(pair):
                rows[(ledger, *pair)] = states[ledger].levels(pair, depth)
    return rows


def _by_pair(state: PlainState) -> dict[tuple[str, str], set[Any]]:
    pairs: dict[tuple[str, str], set[Any]] = {}
    for each in (*state.offers.values(), *state.pools.values()):
        assets = (each.selling, each.buying) if isinstance(each, Offer) else (each.asset_a, each.asset_b)
        first, second = sorted(asset.key for asset in assets)
        pairs.setdefault((first, second), set()).add(each)
    return {ordered(*pair): found for pair, found in pairs.items()}


def written_rows(connection: sa.Connection) -> Rows:
    """The rows of the table."""
    query = sa.select(order_book_levels)
    return shown_rows(dict(row) for row in connection.execute(query).mappings())


def shown_rows(rows: Iterable[Mapping[str, Any]]) -> Rows:
    """Rows with numbers as numbers, however they are kept, and without what the plain rows do not have."""
    shown: Rows = {}
    for row in rows:
        values = dict(row)
        key = (values.pop("ledger_sequence"), values["base_asset"], values["counter_asset"])
        for name in list(values):
            if name == "closed_at" or name.startswith(("base_asset_", "counter_asset_")):
                del values[name]
        for side in ("bid", "ask"):
            values[f"{side}_amount"] = int(values[f"{side}_amount"])
            levels = values[f"{side}s"]
            levels = json.loads(levels) if isinstance(levels, str) else levels
            values[f"{side}s"] = [{**level, "amount": int(level["amount"])} for level in levels]
        assert key not in shown
        shown[key] = values
    return shown
