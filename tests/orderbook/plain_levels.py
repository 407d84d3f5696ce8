"""Books of pairs added up row by row in plain Python, to compare with."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from orderbook.order_books import Offer, Pool


@dataclass
class PlainState:
    """All offers and pools at one ledger, by id."""

    offers: dict[int, Offer] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)

    def pairs(self) -> set[tuple[str, str]]:
        """The pairs that have anything."""
        sides = [(offer.selling.key, offer.buying.key) for offer in self.offers.values()]
        sides += [(pool.asset_a.key, pool.asset_b.key) for pool in self.pools.values()]
        return {ordered(*side) for side in sides}

    def levels(self, pair: tuple[str, str], depth: int) -> dict[str, Any]:
        """What order_book_levels says of a pair, without its ledger."""
        base, counter = pair
        offers = list(self.offers.values())
        asks = [offer for offer in offers if (offer.selling.key, offer.buying.key) == (base, counter)]
        bids = [offer for offer in offers if (offer.selling.key, offer.buying.key) == (counter, base)]
        ask_levels = _added((Fraction(offer.n, offer.d), offer.amount) for offer in asks)
        bid_levels = _added((Fraction(offer.d, offer.n), offer.amount) for offer in bids)[::-1]
        spread = ask_levels[0][0] - bid_levels[0][0] if ask_levels and bid_levels else None
        row = {
            "base_asset": base,
            "counter_asset": counter,
            "bids": _shown(bid_levels[:depth]),
            "asks": _shown(ask_levels[:depth]),
            "bid_offers": len(bids),
            "ask_offers": len(asks),
            "bid_amount": sum(offer.amount for offer in bids),
            "ask_amount": sum(offer.amount for offer in asks),
            "spread_n": None if spread is None else spread.numerator,
            "spread_d": None if spread is None else spread.denominator,
        }
        for side, levels in (("bid", bid_levels), ("ask", ask_levels)):
            row[f"best_{side}_n"] = levels[0][0].numerator if levels and depth else None
            row[f"best_{side}_d"] = levels[0][0].denominator if levels and depth else None
        return {**row, **self._pool(pair)}

    def _pool(self, pair: tuple[str, str]) -> dict[str, Any]:
        reserves: dict[str, Any] = {"pool_id": None, "pool_reserve_base": None, "pool_reserve_counter": None}
        for pool in self.pools.values():
            sides = {pool.asset_a.key: pool.reserve_a, pool.asset_b.key: pool.reserve_b}
            if ordered(*sides) == pair:
                base, counter = pair
                reserves = dict(zip(reserves, (pool.pool_id, sides[base], sides[counter]), strict=True))
        return reserves


def ordered(one: str, other: str) -> tuple[str, str]:
    """Two assets in stellar-core's order: by the bytes of their XDR."""
    first, second = sorted((one, other), key=base64.b64decode)
    return first, second


def _added(offers: Iterable[tuple[Fraction, int]]) -> list[tuple[Fraction, int, int]]:
    sums: dict[Fraction, tuple[int, int]] = {}
    for price, amount in offers:
        total, count = sums.get(price, (0, 0))
        sums[price] = (total + amount, count + 1)
    return [(price, *sums[price]) for price in sorted(sums)]


def _shown(levels: list[tuple[Fraction, int, int]]) -> list[dict[str, int]]:
    return [
        {"price_n": price.numerator, "price_d": price.denominator, "amount": amount, "offers": count}
        for price, amount, count in levels
    ]
