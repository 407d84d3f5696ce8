"""The graph of all offers and pools at one ledger, filled from the tables and moved on ledger by ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.errors import StateError
from aurora_ingest.ledger.asset import Asset

OFFER_COLUMNS: Final = ("offer_id", "seller_id", "selling_asset", "buying_asset", "amount", "pricen", "priced")
"""Columns of table ``offers`` that the graph reads."""

POOL_COLUMNS: Final = ("id", "fee", "asset_reserves")
"""Columns of table ``liquidity_pools`` that the graph reads."""

_OFFERS: Final = pa.schema(
    [
        ("offer_id", pa.int64()),
        ("seller_id", pa.string()),
        ("selling_asset", pa.string()),
        ("buying_asset", pa.string()),
        ("amount", pa.int64()),
        ("pricen", pa.int32()),
        ("priced", pa.int32()),
    ]
)
_POOLS: Final = pa.schema(
    [
        ("id", pa.string()),
        ("asset_a", pa.string()),
        ("asset_b", pa.string()),
        ("reserve_a", pa.int64()),
        ("reserve_b", pa.int64()),
        ("fee", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Level:
    """All offers of a pair at one price.

    Attributes:
        n: numerator of the price in lowest terms: units of the buying asset.
        d: denominator: units of the selling asset.
        amount: stroops of the selling asset that are offered.
        offers: number of offers.
    """

    n: int
    d: int
    amount: int
    offers: int


class OrderBookGraph:
    """Offers by price, then offer id, and constant-product pools, of a whole network at one ledger.

    The search itself runs in the kernel without the GIL. A graph may be searched by many threads at once; while a
    ledger is applied, nobody may search.
    """

    def __init__(self, ledger: int, offers: pa.RecordBatch, liquidity_pools: pa.RecordBatch | None = None) -> None:
        """Takes the state of one ledger.

        Args:
            ledger: ledger that the rows stand at.
            offers: rows of table ``offers`` with at least OFFER_COLUMNS.
            liquidity_pools: rows of table ``liquidity_pools`` with at least POOL_COLUMNS.

        Raises:
            StateError: an offer or pool that cannot be traded with.
        """
        self._book = _kernel.OrderBook()
        pools = None if liquidity_pools is None else pool_reserves(liquidity_pools)
        try:
            self._book.load(ledger, _selected(offers, _OFFERS), pools)
        except _kernel.OrderBookError as error:
            raise StateError(f"order book of ledger {ledger}: {error}") from error

    @property
    def ledger(self) -> int:
        """The ledger that the graph stands at."""
        ledger = self._book.ledger
        assert ledger is not None
        return ledger

    @property
    def kernel(self) -> _kernel.OrderBook:
        """The kernel's object, for searches."""
        return self._book

    def apply(
        self,
        ledger: int,
        offers: pa.RecordBatch,
        removed_offers: Sequence[int],
        liquidity_pools: pa.RecordBatch,
        removed_pools: Sequence[str],
    ) -> None:
        """Moves the graph on by one ledger.

        Args:
            ledger: the ledger after the one that the graph stands at.
            offers: rows of the offers that are new or changed.
            removed_offers: ids of those that left; ids that are not there are passed over.
            liquidity_pools: rows of the pools that are new or changed.
            removed_pools: ids of those that left.

        Raises:
            StateError: it is not the next ledger, or holds an offer or pool that cannot be traded with; the graph is
                as before.
        """
        try:
            self._book.apply(
                ledger,
                _selected(offers, _OFFERS),
                pa.array(removed_offers, pa.int64()),
                pool_reserves(liquidity_pools),
                pa.array(removed_pools, pa.string()),
            )
        except _kernel.OrderBookError as error:
            raise StateError(f"order book: {error}") from error

    def fingerprint(self) -> bytes:
        """Return 32 bytes that are the same for the same offers and pools, however they came into the graph."""
        return self._book.fingerprint()

    def levels(self, selling: Asset, buying: Asset, limit: int = 20) -> tuple[Level, ...]:
        """The cheapest prices at which one asset is sold for another, cheapest first.

        Args:
            selling: what the offers give.
            buying: what the offers ask for.
            limit: most levels.
        """
        return tuple(Level(*level) for level in self._book.levels(selling.key, buying.key, limit))


def pool_reserves(liquidity_pools: pa.RecordBatch) -> pa.RecordBatch:
    """Takes assets and reserves out of the JSON of ``liquidity_pools.asset_reserves``; pools are few.

    Raises:
        StateError: the JSON is not that of two reserves.
    """
    sides = []
    for pool, text in zip(
        *(liquidity_pools.column(name).to_pylist() for name in ("id", "asset_reserves")), strict=True
    ):
        try:
            first, second = json.loads(text) if isinstance(text, str) else text
            sides.append((first["asset"], second["asset"], int(first["reserve"]), int(second["reserve"])))
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"pool {pool}: asset_reserves {text!r} are not two reserves") from error
    assets_a, assets_b, reserves_a, reserves_b = zip(*sides, strict=True) if sides else ((), (), (), ())
    return pa.record_batch(
        [
            liquidity_pools.column("id"),
            pa.array(assets_a, pa.string()),
            pa.array(assets_b, pa.string()),
            pa.array(reserves_a, pa.int64()),
            pa.array(reserves_b, pa.int64()),
            liquidity_pools.column("fee").cast(pa.int32()),
        ],
        schema=_POOLS,
    )


def _selected(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([batch.column(field.name).cast(field.type) for field in schema], schema=schema)
