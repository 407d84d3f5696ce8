"""The resources of the service, in the order in which they are asked."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from aurora_ingest.api.resources import (
    accounts,
    assets,
    claimable_balances,
    health,
    ledgers,
    liquidity_pools,
    offers,
    order_book,
    paths,
    root,
    transactions,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    root.router,
    ledgers.router,
    accounts.router,
    offers.router,
    assets.router,
    claimable_balances.router,
    liquidity_pools.router,
    order_book.router,
    paths.router,
    transactions.router,
    health.router,
)
