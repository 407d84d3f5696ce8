"""An order book in plain Python, by the protocol's formulas alone: what the kernel is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.graph import OrderBookGraph
from orderbook.order_books import Offer, Pool, offer_rows, pool_rows


@dataclass
class Book:
    """An order book in plain Python: the formulas of the protocol, without any bound or short cut."""

    offers: dict[int, Offer] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)

    def graph(self, ledger: int = 1) -> OrderBookGraph:
        return OrderBookGraph(ledger, offer_rows(self.offers.values()), pool_rows(self.pools.values()))

    def assets(self) -> set[Asset]:
        traded = {side for offer in self.offers.values() for side in (offer.selling, offer.buying)}
        return traded | {side for pool in self.pools.values() for side in (pool.asset_a, pool.asset_b)}

    def _pair(self, selling: Asset, buying: Asset, own: str | None) -> list[Offer]:
        offers = [
            offer
            for offer in self.offers.values()
            if (offer.selling, offer.buying) == (selling, buying) and offer.seller != own
        ]
        return sorted(offers, key=lambda offer: (offer.n * 10**20 // offer.d, offer.offer_id))

    def _reserves(self, into: Asset, out: Asset) -> list[tuple[int, int, int]]:
        sides = ((p.asset_a, p.asset_b, p.reserve_a, p.reserve_b, p.fee) for p in self.pools.values())
        both = (side for a, b, x, y, fee in sides for side in ((a, b, x, y, fee), (b, a, y, x, fee)))
        return [(x, y, fee) for a, b, x, y, fee in both if (a, b) == (into, out) and x and y]

    def cost(self, wanted: Asset, amount: int, paid: Asset, own: str | None) -> int | None:
        prices = []
        left, total = amount, 0
        for offer in self._pair(wanted, paid, own):
            whole = offer.amount if offer.n > offer.d else -(-(offer.amount * offer.n // offer.d) * offer.d // offer.n)
            taken = min(whole, left)
            total += -(-taken * offer.n // offer.d)
            left -= taken
            if left <= 0:
                prices.append(total)
                break
        for x, y, fee in self._reserves(paid, wanted):
            if amount < y:
                prices.append(-(-10_000 * x * amount // ((y - amount) * (10_000 - fee))))
        return min((price for price in prices if price > 0), default=None)

    def proceeds(self, spent: Asset, amount: int, wanted: Asset, own: str | None) -> int | None:
        yields = []
        left, total = amount, 0
        for offer in self._pair(wanted, spent, own):
            rest = left * offer.d // offer.n
            if rest == 0:
                break
            if rest <= offer.amount:
                yields.append(total + rest)
                break
            whole = offer.amount if offer.n > offer.d else -(-(offer.amount * offer.n // offer.d) * offer.d // offer.n)
            total += whole
            left -= -(-whole * offer.n // offer.d)
            if left <= 0:
                yields.append(total)
                break
        for x, y, fee in self._reserves(spent, wanted):
            kept = (10_000 - fee) * amount
            yields.append(kept * y // (10_000 * x + kept))
        return max((got for got in yields if got > 0), default=None)

    def every(
        self, start: Asset, amount: int, end: Asset, own: str | None, *, hops: int, receive: bool
    ) -> set[tuple[object, ...]]:
        found: set[tuple[object, ...]] = set()
        assets = self.assets()

        def go(way: tuple[Asset, ...], amount: int) -> None:
            if way[-1] == end:
                found.add((amount, way))
            if len(way) <= hops:
                for following in assets:
                    if following not in way:
                        hop = self.cost if receive else self.proceeds
                        reached = hop(way[-1], amount, following, own)
                        if reached is not None:
                            go((*way, following), reached)

        go((start,), amount)
        return found
