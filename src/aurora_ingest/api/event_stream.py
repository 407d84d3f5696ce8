"""Collections as they grow: server-sent events as Horizon's clients expect them.

A stream begins with an event ``open`` whose data is ``"hello"``. Every record is an event whose id is its paging
token: a client that comes back with ``Last-Event-ID`` goes on behind it. After ``limit`` records, after some minutes,
or when the service ends, it closes with ``close`` and ``"byebye"``, and the client comes back. While there is nothing
to tell, a comment goes out now and then, so that nobody in between takes the connection for dead.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from aurora_ingest.api.context import Service, Snapshot, snapshot
from aurora_ingest.api.paging import NOW, Page
from aurora_ingest.api.problems import OverCapacity, Problem

_Row = TypeVar("_Row")
Read = Callable[[Snapshot, Page], Sequence[_Row]]
"""Reads the rows of a page."""
Event = tuple[str, dict[str, Any]]
"""An event: its id, which is a paging token, and its document."""

KIND: Final = "text/event-stream"
"""What a client sends as ``Accept`` for a stream."""
_HELLO: Final = 'retry: 1000\nevent: open\ndata: "hello"\n\n'
_GOODBYE: Final = 'retry: 10\nevent: close\ndata: "byebye"\n\n'
_HEARTBEAT: Final = ": heartbeat\n\n"
STREAMED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {KIND: {"schema": {"type": "string"}}}, "description": "A page, or a stream of events."}
}
"""For the OpenAPI document."""


def wants_stream(request: Request) -> bool:
    """Tells whether a client asks for events."""
    return KIND in request.headers.get("accept", "")


def streamed(
    request: Request, page: Page, read: Callable[[Snapshot, Page], list[Event]], newest: Callable[[Snapshot], str]
) -> StreamingResponse | None:
    """Returns a stream if the client asks for one, else None. To be called in an endpoint that is a plain ``def``.

    Args:
        request: the request.
        page: where the stream begins; ``Last-Event-ID`` goes before its cursor.
        read: reads the events of a page; what it raises at the beginning is the answer.
        newest: paging token that everything which is there already lies before, for ``cursor=now``.

    Raises:
        OverCapacity: there are as many streams as there may be.
    """
    if not wants_stream(request):
        return None
    service = _admitted(request)
    last = request.headers.get("last-event-id")
    begin = page if not last else Page(last, page.order, page.limit)
    begin.number()
    turn = service.watch.turn
    with snapshot(request) as seen:
        if begin.cursor == NOW:
            begin = Page(newest(seen), page.order, page.limit)
        first = read(seen, begin)
        ledger = seen.ledger

    def again(at: Page) -> list[Event]:
        with snapshot(request) as now:
            return read(now, at)

    return _answer(_events(service, begin, turn, first, again), ledger)


def streamed_document(request: Request, read: Callable[[], tuple[int, dict[str, Any]]]) -> StreamingResponse | None:
    """Returns a stream of one document, sent again whenever it has changed, if the client asks for one, else None.

    Args:
        request: the request.
        read: gives the ledger and the document; what it raises at the beginning is the answer.

    Raises:
        OverCapacity: there are as many streams as there may be.
    """
    if not wants_stream(request):
        return None
    service = _admitted(request)
    turn = service.watch.turn
    ledger, document = read()
    return _answer(_documents(service, turn, document, read), ledger)


def _admitted(request: Request) -> Service:
    service: Service = request.app.state.service
    if service.streams.count >= service.options.streams:
        raise OverCapacity(headers={"Retry-After": "10"})
    return service


def _answer(events: AsyncIterator[str], ledger: int) -> StreamingResponse:
    headers = {"Latest-Ledger": str(ledger), "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type=KIND, headers=headers)


async def _events(
    service: Service, page: Page, turn: int, found: list[Event], again: Callable[[Page], list[Event]]
) -> AsyncIterator[str]:
    left, cursor = page.limit, page.cursor
    end = time.monotonic() + service.options.stream_seconds
    with service.streams.one_more():
        yield _HELLO
        while True:
            if found:
                yield "".join(f"id: {token}\ndata: {json.dumps(document)}\n\n" for token, document in found)
                cursor, left = found[-1][0], left - len(found)
            if left <= 0 or service.watch.is_ending or time.monotonic() > end:
                break
            if not await service.watch.wait(turn, service.options.heartbeat_seconds):
                yield _HEARTBEAT
                found = []
                continue
            turn = service.watch.turn
            try:
                found = await run_in_threadpool(again, Page(cursor, page.order, left))
            except Problem:
                break  # the client is told the reason when it comes back
        yield _GOODBYE


async def _documents(
    service: Service, turn: int, document: dict[str, Any], read: Callable[[], tuple[int, dict[str, Any]]]
) -> AsyncIterator[str]:
    end = time.monotonic() + service.options.stream_seconds
    with service.streams.one_more():
        yield _HELLO
        yield f"data: {json.dumps(document)}\n\n"
        while not service.watch.is_ending and time.monotonic() < end:
            if not await service.watch.wait(turn, service.options.heartbeat_seconds):
                yield _HEARTBEAT
                continue
            turn = service.watch.turn
            try:
                _, now = await run_in_threadpool(read)
            except Problem:
                break
            if now != document:
                document = now
                yield f"data: {json.dumps(document)}\n\n"
        yield _GOODBYE
