"""Ledgers' units with nothing but changed offers and pools, for tests of order books."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pyarrow as pa

from aurora_ingest.transforms.extract_changes import ledger_unit
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from orderbook.order_books import Offer, Pool
from orderbook.plain_levels import PlainState


def change_unit(ledger: int, before: PlainState, after: PlainState) -> LedgerUnit:
    """A ledger that makes one state of the other; offers and pools that stay as they are stand in it too."""
    unit = ledger_unit(
        ledger,
        {"ledgers": pa.record_batch({"ledger_sequence": pa.array([ledger]), "close_time": pa.array([ledger * 5])})},
    )
    return dataclasses.replace(unit, pre=_entries(before), post=_entries(after))


def _entries(state: PlainState) -> dict[str, pa.RecordBatch]:
    return {"offer": offer_entries(state.offers.values()), "liquidity_pool": pool_entries(state.pools.values())}


def offer_entries(offers: Iterable[Offer]) -> pa.RecordBatch:
    """Offers as the kernel's entry table has them."""
    rows = list(offers)
    return pa.record_batch(
        {
            "offer_id": pa.array([row.offer_id for row in rows], pa.int64()),
            "seller_id": pa.array([row.seller for row in rows], pa.string()),
            "selling_asset_base64": pa.array([row.selling.key for row in rows], pa.string()),
            "buying_asset_base64": pa.array([row.buying.key for row in rows], pa.string()),
            "amount": pa.array([row.amount for row in rows], pa.int64()),
            "price_n": pa.array([row.n for row in rows], pa.int32()),
            "price_d": pa.array([row.d for row in rows], pa.int32()),
        }
    )


def pool_entries(pools: Iterable[Pool]) -> pa.RecordBatch:
    """Pools as the kernel's entry table has them."""
    rows = list(pools)
    return pa.record_batch(
        {
            "pool_id": pa.array([row.pool_id for row in rows], pa.string()),
            "a_asset_base64": pa.array([row.asset_a.key for row in rows], pa.string()),
            "b_asset_base64": pa.array([row.asset_b.key for row in rows], pa.string()),
            "reserve_a": pa.array([row.reserve_a for row in rows], pa.int64()),
            "reserve_b": pa.array([row.reserve_b for row in rows], pa.int64()),
            "fee": pa.array([row.fee for row in rows], pa.int32()),
        }
    )
