"""``/order_book``: bids and asks of a pair, added up by price."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from aurora_ingest.api.context import Service
from aurora_ingest.api.event_stream import STREAMED, streamed_document
from aurora_ingest.api.filters import BuyingAsset, SellingAsset
from aurora_ingest.api.hal import HalResponse
from aurora_ingest.api.paging import MAX_LIMIT, empty_is_absent
from aurora_ingest.api.problems import InvalidOrderBook
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.summary import summary_json

router = APIRouter(tags=["order book"])

_DEFAULT_LEVELS: Final = 20
Levels = Annotated[
    Annotated[int, Field(ge=1, le=MAX_LIMIT)] | None,
    BeforeValidator(empty_is_absent),
    Query(description="Most prices on each side, 20 if not given."),
]


@router.get("/order_book", summary="Bids and asks of a pair.", responses=STREAMED)
def order_book(request: Request, selling: SellingAsset, buying: BuyingAsset, limit: Levels = None) -> Response:
    """Both sides of a pair at the ledger that the header names; with ``Accept: text/event-stream`` as it changes.

    Asks sell the selling asset; amounts of bids are in the buying asset.
    """
    if selling is None or buying is None:
        raise InvalidOrderBook
    service: Service = request.app.state.service

    def read() -> tuple[int, dict[str, Any]]:
        return _read(service, selling, buying, limit or _DEFAULT_LEVELS)

    stream = streamed_document(request, read)
    if stream is not None:
        return stream
    ledger, document = read()
    return HalResponse(document, headers={"Latest-Ledger": str(ledger)})


def _read(service: Service, base: Asset, counter: Asset, limit: int) -> tuple[int, dict[str, Any]]:
    with service.order_book.searching(service.options.search_seconds) as graph:
        ledger = graph.ledger
        asks, bids = graph.levels(base, counter, limit), graph.levels(counter, base, limit)
    return ledger, summary_json(base, counter, bids, asks)
