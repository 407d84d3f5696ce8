"""``/paths/strict-receive`` and ``/paths/strict-send``: ways to pay over offers and pools, exact at one ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from aurora_ingest.api.context import Service, snapshot
from aurora_ingest.api.filters import AccountFilter, Text, asset_of_parts
from aurora_ingest.api.hal import HalResponse
from aurora_ingest.api.problems import BadRequest, OverCapacity, StillIngesting, Timeout, about_field
from aurora_ingest.db.order_book import read_balances
from aurora_ingest.errors import SearchTimeoutError
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.amount import stroops
from aurora_ingest.orderbook.graph import OrderBookGraph
from aurora_ingest.orderbook.path_search import PaymentPath, SearchLimits, find_strict_receive, find_strict_send

router = APIRouter(tags=["paths"])

_MOST_ASSETS: Final = 15
_STEP_SECONDS: Final = 0.005
_LONGEST_LIST: Final = 2048
AmountText = Annotated[str, Query(max_length=32, description="Units of the asset, up to seven decimals.")]
AssetList = Annotated[
    str | None,
    Query(max_length=_LONGEST_LIST, description="`native` or `CODE:ISSUER`, with commas between; at most 15."),
]
Balances = Mapping[Asset, int] | None


async def _destination(
    destination_asset_type: Text = None, destination_asset_code: Text = None, destination_asset_issuer: Text = None
) -> Asset:
    return _needed("destination_", destination_asset_type, destination_asset_code, destination_asset_issuer)


async def _source(
    source_asset_type: Text = None, source_asset_code: Text = None, source_asset_issuer: Text = None
) -> Asset:
    return _needed("source_", source_asset_type, source_asset_code, source_asset_issuer)


@router.get("/paths", summary="What has to be paid so that an amount arrives.")
@router.get("/paths/strict-receive", summary="What has to be paid so that an amount arrives.")
async def strict_receive(
    request: Request,
    destination: Annotated[Asset, Depends(_destination)],
    destination_amount: AmountText,
    source_assets: AssetList = None,
    source_account: AccountFilter = None,
    destination_account: AccountFilter = None,  # noqa: ARG001 - Horizon takes it and does nothing with it
) -> HalResponse:
    """The cheapest ways to pay with each of some assets, or with whatever an account has enough of.

    The account's own offers are left out.
    """
    amount = _amount("destination_amount", destination_amount)
    sources = _list_or_account("source", source_assets, source_account)

    def search(graph: OrderBookGraph, balances: Balances, limits: SearchLimits) -> Sequence[PaymentPath]:
        ends = sources if sources is not None else balances or {}
        return find_strict_receive(graph, destination, amount, ends, source_account=source_account, limits=limits)

    return await _answered(request, search, None if sources is not None else source_account)


@router.get("/paths/strict-send", summary="What arrives when an amount is paid.")
async def strict_send(
    request: Request,
    source: Annotated[Asset, Depends(_source)],
    source_amount: AmountText,
    destination_assets: AssetList = None,
    destination_account: AccountFilter = None,
    source_account: AccountFilter = None,
) -> HalResponse:
    """The best ways to spend an amount on each of some assets, or on whatever an account can hold.

    Offers of the source account, if it is given, are left out.
    """
    amount = _amount("source_amount", source_amount)
    destinations = _list_or_account("destination", destination_assets, destination_account)

    def search(graph: OrderBookGraph, balances: Balances, limits: SearchLimits) -> Sequence[PaymentPath]:
        ends = destinations if destinations is not None else tuple(balances or ())
        return find_strict_send(graph, source, amount, ends, source_account=source_account, limits=limits)

    return await _answered(request, search, None if destinations is not None else destination_account)


async def _answered(
    request: Request,
    search: Callable[[OrderBookGraph, Balances, SearchLimits], Sequence[PaymentPath]],
    account: str | None,
) -> HalResponse:
    """Searches in a thread, behind the gate; what an account has is read at the very ledger of the graph."""
    service: Service = request.app.state.service
    end = time.monotonic() + service.options.search_seconds

    def work() -> tuple[int, list[dict[str, Any]]]:
        with _graph_and_balances(request, account, end) as (graph, balances):
            request.state.latest_ledger = graph.ledger
            if graph.kernel.offers + graph.kernel.pools == 0:
                raise StillIngesting
            left = end - time.monotonic()
            if left <= 0:
                raise Timeout
            limits = SearchLimits(max_hops=service.options.max_path_length, seconds=left)
            try:
                return graph.ledger, [path.to_json() for path in search(graph, balances, limits)]
            except SearchTimeoutError as error:
                raise Timeout from error

    async with service.searches.entered():
        ledger, records = await run_in_threadpool(work)
    return HalResponse({"_embedded": {"records": records}}, headers={"Latest-Ledger": str(ledger)})


@contextmanager
def _graph_and_balances(request: Request, account: str | None, end: float) -> Iterator[tuple[OrderBookGraph, Balances]]:
    """Has the graph, and what an account could pay with, both of one ledger."""
    service: Service = request.app.state.service
    if account is None:
        with service.order_book.searching(service.options.search_seconds) as graph:
            yield graph, None
        return
    while True:
        with snapshot(request) as seen:
            balances, ledger, build = read_balances(seen.connection, account), seen.ledger, seen.standing.ledger_hash
        with service.order_book.at(ledger, build, service.options.search_seconds) as found:
            if found is not None:
                yield found, balances
                return
        if time.monotonic() > end:
            raise OverCapacity(headers={"Retry-After": "1"})
        service.order_book.hurry()
        time.sleep(_STEP_SECONDS)


def _amount(field: str, text: str) -> int:
    with about_field(field):
        amount = stroops(text)
    if amount == 0:
        raise BadRequest.of_field(field, "Value must be positive")
    return amount


def _needed(prefix: str, kind: str | None, code: str | None, issuer: str | None) -> Asset:
    asset = asset_of_parts(prefix, kind, code, issuer)
    if asset is None:
        raise BadRequest.of_field(f"{prefix}asset_type", "Missing parameter")
    return asset


def _list_or_account(side: str, assets: str | None, account: str | None) -> tuple[Asset, ...] | None:
    """Returns the assets of a list; None if an account was given instead."""
    if bool(assets) == (account is not None):
        raise BadRequest(f"Give either {side}_assets, a list, or {side}_account: one of them, not both.")
    if not assets:
        return None
    texts = assets.split(",")
    if len(texts) > _MOST_ASSETS:
        raise BadRequest.of_field(f"{side}_assets", f"list of assets exceeds maximum length of {_MOST_ASSETS}")
    with about_field(f"{side}_assets"):
        return tuple(dict.fromkeys(Asset.parse(text) for text in texts))
