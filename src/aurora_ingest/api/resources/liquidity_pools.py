"""``/liquidity_pools`` and ``/liquidity_pools/{liquidity_pool_id}``."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Query
from starlette.requests import Request

from aurora_ingest.api.context import snapshot
from aurora_ingest.api.filters import AccountFilter, PoolId, is_hash
from aurora_ingest.api.hal import HalResponse, Link, link
from aurora_ingest.api.instants import instant
from aurora_ingest.api.paging import Page, Paging, collection
from aurora_ingest.api.problems import BadRequest, NotFound
from aurora_ingest.db.read_liquidity_pools import read_liquidity_pool, read_liquidity_pools
from aurora_ingest.db.read_pages import KeyPage, closing_times, json_value
from aurora_ingest.errors import UsageError
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.amount import units

router = APIRouter(tags=["liquidity pools"])

_KINDS: Final = ("constant_product",)
_LONGEST_RESERVES: Final = 1024


@router.get("/liquidity_pools", summary="Liquidity pools.")
def liquidity_pools(
    request: Request,
    page: Paging,
    reserves: Annotated[
        str | None,
        Query(max_length=_LONGEST_RESERVES, description="Assets that a pool has to hold, with commas between."),
    ] = None,
    account: AccountFilter = None,
) -> HalResponse:
    """A page of pools that hold all of some assets, or in which an account takes part."""
    assets = _assets(reserves)
    if assets and account is not None:
        raise BadRequest.of_field("reserves", "filters by account and by reserves do not go together")
    keys = KeyPage(_cursor(page), page.descending, page.limit)
    with snapshot(request) as seen:
        rows = read_liquidity_pools(seen.connection, assets, account, keys)
        times = closing_times(seen.connection, (row.last_modified_ledger for row in rows))
        to = partial(link, request)
        documents = [pool_document(row, times.get(row.last_modified_ledger), to) for row in rows]
        return seen.answer(collection(documents, page, request))


@router.get("/liquidity_pools/{liquidity_pool_id}", summary="One liquidity pool.")
def liquidity_pool(request: Request, liquidity_pool_id: PoolId) -> HalResponse:
    """One pool by its id."""
    with snapshot(request) as seen:
        row = read_liquidity_pool(seen.connection, liquidity_pool_id.lower())
        if row is None:
            raise NotFound
        times = closing_times(seen.connection, [row.last_modified_ledger])
        return seen.answer(pool_document(row, times.get(row.last_modified_ledger), partial(link, request)))


def pool_document(row: sa.Row[Any], modified_at: datetime | None, to: Link) -> dict[str, Any]:
    """Returns a liquidity pool in Horizon's form.

    Args:
        row: of table ``liquidity_pools``.
        modified_at: when the ledger closed that changed it last, None if history does not reach back to it.
        to: makes links.
    """
    here = f"/liquidity_pools/{row.id}"
    return {
        "_links": {
            "self": to(here),
            **{name: to(f"{here}/{name}{{?cursor,limit,order}}") for name in ("transactions", "operations")},
        },
        "id": row.id,
        "paging_token": row.id,
        "fee_bp": row.fee,
        "type": _KINDS[row.type],
        "total_trustlines": str(row.trustline_count),
        "total_shares": units(row.share_count),
        "reserves": [
            {"asset": str(Asset.of_key(each["asset"])), "amount": units(int(each["reserve"]))}
            for each in json_value(row.asset_reserves)
        ],
        "last_modified_ledger": row.last_modified_ledger,
        "last_modified_time": None if modified_at is None else instant(modified_at),
    }


def _assets(reserves: str | None) -> list[Asset]:
    try:
        return [Asset.parse(each) for each in (reserves or "").split(",") if each]
    except UsageError as error:
        reason = "Invalid reserves, should be comma-separated list of assets in canonical form"
        raise BadRequest.of_field("reserves", reason) from error


def _cursor(page: Page) -> tuple[str] | None:
    if not page.cursor:
        return None
    if not is_hash(page.cursor):
        raise BadRequest.of_field("cursor", "the cursor is not a valid paging_token: expected a pool id")
    return (page.cursor.lower(),)
