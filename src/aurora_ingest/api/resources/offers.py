"""``/offers``, ``/offers/{offer_id}`` and ``/accounts/{account_id}/offers``."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from aurora_ingest.api.context import Snapshot, snapshot
from aurora_ingest.api.event_stream import STREAMED, Event, streamed
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


@router.get("/accounts/{account_id}/offers", summary="Open offers of an account.", responses=STREAMED)
def offers_of_account(request: Request, page: Paging, account_id: AccountId) -> Response:
    """A page of the open offers of an account; with ``Accept: text/event-stream`` each new one."""
    chosen = OfferFilter(seller=account_id)
    page.number()

    def events(seen: Snapshot, at: Page) -> list[Event]:
        return [(str(each["paging_token"]), each) for each in _documents(seen, chosen, at, request)]

    stream = streamed(request, page, events, newest=lambda _: str(_NEWEST))
    return _answered(chosen, page, request) if stream is None else stream


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
    page.number()
    with snapshot(request) as seen:
        return seen.answer(collection(_documents(seen, chosen, page, request), page, request))


def _documents(seen: Snapshot, chosen: OfferFilter, page: Page, request: Request) -> list[dict[str, Any]]:
    number = page.number()
    keys = KeyPage(None if number is None else (number,), page.descending, page.limit)
    rows = read_offers(seen.connection, chosen, keys)
    times = closing_times(seen.connection, (row.last_modified_ledger for row in rows))
    to = partial(link, request)
    return [offer_document(row, times.get(row.last_modified_ledger), to) for row in rows]
