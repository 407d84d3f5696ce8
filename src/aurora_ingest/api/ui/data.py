"""``/ui/data/…``: what the page shows and the service's resources do not tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse

from aurora_ingest.api.context import Service, database_answers, snapshot
from aurora_ingest.api.instants import instant
from aurora_ingest.api.problems import BadRequest, Timeout, about_field
from aurora_ingest.api.ui.remembered import Remembered
from aurora_ingest.api.ui.traded import Traded, found
from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.db.gaps import Gaps, read_gaps
from aurora_ingest.db.read_commits import read_commits
from aurora_ingest.db.read_ledgers import read_ledger
from aurora_ingest.db.read_order_book_levels import read_kept_levels, read_levels
from aurora_ingest.db.read_pages import json_value
from aurora_ingest.db.read_pairs import is_base, read_traded_pairs
from aurora_ingest.db.reader import reading
from aurora_ingest.db.status import status_of
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger.toid import LEDGER_MAX
from aurora_ingest.orderbook.amount import units

router = APIRouter()

_STATUS_SECONDS: Final = 0.8
_PAIRS_SECONDS: Final = 60.0
_GAPS_SECONDS: Final = 60.0
_MOST: Final = 200
_LONGEST: Final = 128

Sought = Annotated[str, Query(max_length=_LONGEST)]
After = Annotated[int, Query(ge=0, le=LEDGER_MAX)]
Limit = Annotated[int, Query(ge=1, le=_MOST)]


class PageFacts:
    """What all browsers are told from memory, so that a page that many watch costs the database what one costs."""

    def __init__(self) -> None:
        self.status: Remembered[dict[str, Any]] = Remembered(_STATUS_SECONDS)
        self.gaps: Remembered[Gaps | None] = Remembered(_GAPS_SECONDS)
        self.pairs: Remembered[Traded] = Remembered(_PAIRS_SECONDS)


@router.get("/status")
def status(request: Request) -> JSONResponse:
    """Where ingestion stands; answers before there is a state, too."""
    facts: PageFacts = request.app.state.ui
    service: Service = request.app.state.service

    def ask() -> dict[str, Any]:
        gaps = facts.gaps.get(lambda: _gaps(service))
        with (
            database_answers(),
            reading(service.engine, service.options.statement_seconds) as (connection, standing),
        ):
            latest = None if standing.ledger is None else read_ledger(connection, standing.ledger)
            told = dataclasses.asdict(status_of(connection, {}, gaps or {}))
        del told["rows"]
        closed_at = None if latest is None else latest.closed_at
        return {
            **told,
            "gaps_known": gaps is not None,
            "current_version": CURRENT_VERSION,
            "closed_at": None if closed_at is None else instant(closed_at),
            "seconds_since_close": None if closed_at is None else _seconds_since(closed_at),
        }

    return JSONResponse(facts.status.get(ask))


@router.get("/commits")
def commits(request: Request, after: After = 0, limit: Limit = _MOST) -> JSONResponse:
    """When the last ledgers were committed, and by whom; ascending."""
    service: Service = request.app.state.service
    with database_answers(), reading(service.engine, service.options.statement_seconds) as (connection, _):
        last = read_commits(connection, after, limit)
    return JSONResponse({"commits": [dataclasses.asdict(commit) for commit in last]})


@router.get("/pairs")
def pairs(request: Request, search: Sought = "", limit: Limit = 50) -> JSONResponse:
    """Pairs of assets that can be exchanged, those with most offers first.

    Each word of a search has to be found in one of the names; ``XLM`` finds the native asset.
    """
    traded = _traded(request)
    number, first = found(traded.pairs, search)
    documents = [
        {"base": pair.base, "counter": pair.counter, "asks": pair.asks, "bids": pair.bids, "pool": pair.has_pool}
        for pair in first(limit)
    ]
    return JSONResponse({"ledger": traded.ledger, "found": number, "all": len(traded.pairs), "pairs": documents})


@router.get("/assets")
def assets(request: Request, search: Sought = "", limit: Limit = 50) -> JSONResponse:
    """Assets that can be exchanged, those in most pairs first."""
    traded = _traded(request)
    number, first = found(traded.assets, search)
    documents = [{"asset": name, "pairs": pairs} for name, pairs in first(limit)]
    return JSONResponse({"ledger": traded.ledger, "found": number, "all": len(traded.assets), "assets": documents})


@router.get("/order_book_history")
def order_book_history(
    request: Request, base: Sought, counter: Sought, after: After = 0, limit: Limit = 120
) -> JSONResponse:
    """The books of a pair after the last ledgers that changed it; base is the first in stellar-core's order."""
    one, other = _asset("base", base), _asset("counter", counter)
    if one == other:
        raise BadRequest.of_field("counter", f"{other} is the base asset, too: expected another one")
    if not is_base(one.key, other.key):
        one, other = other, one
    with snapshot(request) as seen:
        kept = read_kept_levels(seen.connection, seen.ledger)
        rows = []
        if kept is not None and after < kept.last:
            wanted = LedgerRange(max(kept.first, after + 1), kept.last)
            rows = [_book(row) for row in read_levels(seen.connection, one.key, other.key, wanted, limit)]
    document = {
        "ledger": seen.ledger,
        "base": str(one),
        "counter": str(other),
        "kept": None if kept is None else {"first": kept.first, "last": kept.last},
        "books": rows,
    }
    return JSONResponse(document, headers={"Latest-Ledger": str(seen.ledger)})


def _traded(request: Request) -> Traded:
    facts: PageFacts = request.app.state.ui

    def ask() -> Traded:
        with snapshot(request) as seen:
            pairs = read_traded_pairs(seen.connection)
        return Traded.of(seen.ledger, pairs)

    return facts.pairs.get(ask)


def _gaps(service: Service) -> Gaps | None:
    """Looks for gaps in the whole history; None if that takes longer than a request may."""
    try:
        with (
            database_answers(),
            reading(service.engine, service.options.statement_seconds) as (connection, _),
        ):
            return read_gaps(connection)
    except Timeout:
        return None


def _asset(field: str, text: str) -> Asset:
    with about_field(field):
        return Asset.parse(text)


def _book(row: sa.Row[Any]) -> dict[str, Any]:
    pool = None
    if row.pool_reserve_base is not None:
        pool = {"base": units(row.pool_reserve_base), "counter": units(row.pool_reserve_counter)}
    return {
        "ledger": row.ledger_sequence,
        "closed_at": instant(row.closed_at),
        "bids": _levels(json_value(row.bids)),
        "asks": _levels(json_value(row.asks)),
        "pool": pool,
    }


def _levels(levels: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"price_r": {"n": level["price_n"], "d": level["price_d"]}, "amount": units(int(level["amount"]))}
        for level in levels
    ]


def _seconds_since(moment: datetime) -> float:
    return max((datetime.now(timezone.utc) - moment.replace(tzinfo=timezone.utc)).total_seconds(), 0.0)
