"""The rows that order_book_levels should have, made anew from offers and pools at every ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
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
        {row.id: pool_of_table(row.id, row.asset_reserves, row.fee) for row in pools},
    )


def _offer(row: Any) -> Offer:
    selling, buying = Asset.of_key(row.selling_asset), Asset.of_key(row.buying_asset)
    return Offer(row.offer_id, selling, buying, row.pricen, row.priced, row.amount)


def pool_of_table(pool_id: str, reserves: Any, fee: int) -> Pool:
    """A pool of a row of the table."""
    first, second = json.loads(reserves) if isinstance(reserves, str) else reserves
    assets = (Asset.of_key(side["asset"]) for side in (first, second))
    return Pool(pool_id, *assets, *(int(side["reserve"]) for side in (first, second)), fee)


def expected_rows(states: Mapping[int, PlainState], depth: int) -> Rows:
    """Rows of every ledger after the first state: of the pairs that differ from the ledger before."""
    rows: Rows = {}
    first, *others = sorted(states)
    before = _by_pair(states[first])
    for ledger in others:
        after = _by_pair(states[ledger])
        for pair in before.keys() | after.keys():
            there = after.get(pair, set())
            if before.get(pair, set()) != there:
                offers = {each.offer_id: each for each in there if isinstance(each, Offer)}
                pools = {each.pool_id: each for each in there if isinstance(each, Pool)}
                rows[(ledger, *pair)] = PlainState(offers, pools).levels(pair, depth)
        before = after
    return rows


def _by_pair(state: PlainState) -> dict[tuple[str, str], set[Any]]:
    pairs: dict[tuple[str, str], set[Any]] = {}
    for each in (*state.offers.values(), *state.pools.values()):
        assets = (each.selling, each.buying) if isinstance(each, Offer) else (each.asset_a, each.asset_b)
        pairs.setdefault(_ordered(*assets), set()).add(each)
    return pairs


@cache
def _ordered(one: Asset, other: Asset) -> tuple[str, str]:
    return ordered(one.key, other.key)


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
