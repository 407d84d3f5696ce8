"""``/offers``, ``/offers/{offer_id}`` and ``/accounts/{account_id}/offers``."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Path
from starlette.requests import Request

from aurora_ingest.api.context import snapshot
from aurora_ingest.api.filters import AccountFilter, AccountId, BuyingAsset, SellingAsset
from aurora_ingest.api.hal import HalResponse, Link, link
from aurora_ingest.api.instants import instant
from aurora_ingest.api.paging import Page, Paging, collection
from aurora_ingest.api.problems import NotFound
from aurora_ingest.db.read_offers import OfferFilter, read_offer, read_offers
from aurora_ingest.db.read_pages import KeyPage, closing_times
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.amount import units
from aurora_ingest.orderbook.summary import asset_json, price_text

router = APIRouter(tags=["offers"])

_NEWEST: Final = 2**63 - 1


@router.get("/offers", summary="Open offers.")
def offers(
    request: Request,
    page: Paging,
    selling: SellingAsset,
    buying: BuyingAsset,
    seller: AccountFilter = None,
    sponsor: AccountFilter = None,
) -> HalResponse:
    """A page of open offers; all filters given have to hold."""
    return _answered(OfferFilter(seller=seller, selling=selling, buying=buying, sponsor=sponsor), page, request)


@router.get("/offers/{offer_id}", summary="One open offer.")
def offer(request: Request, offer_id: Annotated[int, Path(ge=1, le=_NEWEST)]) -> HalResponse:
    """One open offer by its id."""
    with snapshot(request) as seen:
        row = read_offer(seen.connection, offer_id)
        if row is None:
            raise NotFound
        times = closing_times(seen.connection, [row.last_modified_ledger])
        document = offer_document(row, times.get(row.last_modified_ledger), partial(link, request))
        return seen.answer(document)


@router.get("/accounts/{account_id}/offers", summary="Open offers of an account.")
def offers_of_account(request: Request, page: Paging, account_id: AccountId) -> HalResponse:
    """A page of the open offers of an account."""
    return _answered(OfferFilter(seller=account_id), page, request)


def offer_document(row: sa.Row[Any], modified_at: datetime | None, to: Link) -> dict[str, Any]:
    """Returns an offer in Horizon's form.

    Args:
        row: of table ``offers``.
        modified_at: when the ledger closed that changed it last, None if history does not reach back to it.
        to: makes links.
    """
    document = {
        "_links": {"self": to(f"/offers/{row.offer_id}"), "offer_maker": to(f"/accounts/{row.seller_id}")},
        "id": str(row.offer_id),
        "paging_token": str(row.offer_id),
        "seller": row.seller_id,
        "selling": asset_json(Asset.of_key(row.selling_asset)),
        "buying": asset_json(Asset.of_key(row.buying_asset)),
        "amount": units(row.amount),
        "price_r": {"n": row.pricen, "d": row.priced},
        "price": price_text(row.pricen, row.priced),
        "last_modified_ledger": row.last_modified_ledger,
        "last_modified_time": None if modified_at is None else instant(modified_at),
    }
    return document if row.sponsor is None else document | {"sponsor": row.sponsor}


def _answered(chosen: OfferFilter, page: Page, request: Request) -> HalResponse:
    number = _NEWEST if page.cursor == "now" else page.number()
    keys = KeyPage(None if number is None else (number,), page.descending, page.limit)
    with snapshot(request) as seen:
        rows = read_offers(seen.connection, chosen, keys)
        times = closing_times(seen.connection, (row.last_modified_ledger for row in rows))
        to = partial(link, request)
        documents = [offer_document(row, times.get(row.last_modified_ledger), to) for row in rows]
        return seen.answer(collection(documents, page, request))
