"""``/health`` and ``/metrics``: whether the service is well, and its figures for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from aurora_ingest.api.context import Service
from aurora_ingest.api.http_layer import RequestMetrics
from aurora_ingest.db.reader import reading
from aurora_ingest.errors import DatabaseError

router = APIRouter(tags=["operation"])

_UNWELL: dict[int | str, dict[str, Any]] = {
    503: {
        "description": "Not well; the facts say why.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


@router.get("/health", summary="Whether the service is well.", responses=_UNWELL, response_class=JSONResponse)
def health(request: Request) -> JSONResponse:
    """Tells whether the database answers and has a state that may be shown, and where the order book stands."""
    service: Service = request.app.state.service
    facts: dict[str, Any] = {"database_connected": False, "state_ready": False, "ingest_latest_ledger": 0}
    try:
        with reading(service.engine, service.options.statement_seconds) as (_, standing):
            facts |= {
                "database_connected": True,
                "state_ready": standing.is_ready,
                "ingest_latest_ledger": standing.ledger or 0,
            }
    except DatabaseError as error:
        facts["failure"] = str(error)
    ledger = service.order_book.ledger
    facts["order_book_ledger"] = ledger or 0
    if service.order_book.failure is not None:
        facts["failure"] = service.order_book.failure
    is_well = facts["state_ready"] and ledger is not None and "failure" not in facts
    return JSONResponse(facts, status_code=200 if is_well else 503)


@router.get("/metrics", summary="Figures for Prometheus.", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """The figures of this service: requests by route, the order book, open streams."""
    figures: RequestMetrics = request.app.state.metrics
    return Response(generate_latest(figures.registry), media_type=CONTENT_TYPE_LATEST)
