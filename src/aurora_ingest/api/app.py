"""The read-only service as an ASGI application."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import anyio.to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request

from aurora_ingest import __version__
from aurora_ingest.api import problems, ui
from aurora_ingest.api.context import Service
from aurora_ingest.api.hal import HalResponse
from aurora_ingest.api.http_layer import HttpLayer, RequestMetrics
from aurora_ingest.api.ledger_watch import LedgerWatch
from aurora_ingest.api.limits import Gate, Tally
from aurora_ingest.api.order_book_stream import READ_SECONDS, OrderBookStream
from aurora_ingest.api.problems import Problem, ProblemResponse
from aurora_ingest.api.routes import ROUTERS
from aurora_ingest.api.serve_options import ServeOptions
from aurora_ingest.db import schema
from aurora_ingest.db.reader import connect_reader

_SPARE_THREADS: Final = 4
_WAITING: Final = 16
"""Searches that may wait for each that may run."""
_EXPOSED: Final = ("Date", "Latest-Ledger")
_PROBLEM_SCHEMA: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "extras": {"type": "object"},
    },
}


def create_app(options: ServeOptions) -> FastAPI:
    """Makes the service; it opens the database when it starts and closes it when it stops.

    Args:
        options: the settings.
    """
    metrics = RequestMetrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = connect_reader(
            options.db_url, connections=options.connections, statement_seconds=options.statement_seconds
        )
        try:
            schema.require(engine)
            anyio.to_thread.current_default_thread_limiter().total_tokens = options.connections + _SPARE_THREADS
            with _following(options, metrics) as (order_book, watch):
                app.state.service = Service(
                    options=options,
                    engine=engine,
                    order_book=order_book,
                    searches=Gate(options.searches, _WAITING * options.searches, options.search_seconds),
                    watch=watch,
                    streams=Tally(),
                )
                yield
        finally:
            engine.dispose()

    app = FastAPI(
        title="aurora-ingest",
        version=__version__,
        description="The state and history of a Stellar-family network, in Horizon's JSON, at one named ledger.",
        lifespan=lifespan,
        docs_url=None,  # both pages load their scripts from other hosts
        redoc_url=None,
        default_response_class=HalResponse,
        responses=problems.DOCUMENTED,
        middleware=[
            Middleware(HttpLayer, metrics=metrics),
            Middleware(
                CORSMiddleware, allow_origins=options.cors_origins, allow_methods=["GET"], expose_headers=_EXPOSED
            ),
        ],
    )
    app.state.metrics = metrics
    for router in ROUTERS:
        app.include_router(router)
    ui.mount(app)
    _add_problem_handlers(app)
    _document_problems(app)
    return app


@contextmanager
def _following(options: ServeOptions, metrics: RequestMetrics) -> Iterator[tuple[OrderBookStream, LedgerWatch]]:
    """Follows the database in a thread of its own, with a connection of its own, for the time of the block."""
    watch = LedgerWatch(asyncio.get_running_loop())
    engine = connect_reader(options.db_url, connections=1, statement_seconds=READ_SECONDS)
    order_book = OrderBookStream(engine, metrics.registry, verify_seconds=options.verify_seconds, moved=watch.moved)
    stop = threading.Event()
    thread = threading.Thread(target=order_book.run, args=(stop, options.poll_seconds), name="order-book", daemon=True)
    thread.start()
    try:
        yield order_book, watch
    finally:
        stop.set()
        order_book.hurry()
        thread.join()
        engine.dispose()


def _add_problem_handlers(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def told(request: Request, problem: Problem) -> ProblemResponse:
        return ProblemResponse(problem, getattr(request.state, "latest_ledger", None))

    @app.exception_handler(RequestValidationError)
    async def refused(_request: Request, error: RequestValidationError) -> ProblemResponse:
        first = error.errors()[0]
        place, *names = first["loc"]
        field = ".".join(map(str, names)) or str(place)
        return ProblemResponse(problems.BadRequest.of_field(field, str(first["msg"])))

    @app.exception_handler(HTTPException)
    async def missing(_request: Request, error: HTTPException) -> ProblemResponse:
        return ProblemResponse(problems.MethodNotAllowed() if error.status_code == 405 else problems.NotFound())

    @app.exception_handler(Exception)
    async def failed(_request: Request, _error: Exception) -> ProblemResponse:
        return ProblemResponse(problems.ServerError())


def _document_problems(app: FastAPI) -> None:
    """Puts the problem document's schema into the OpenAPI document."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = _PROBLEM_SCHEMA
        return document

    app.openapi = openapi  # type: ignore[method-assign] # the way that FastAPI documents
