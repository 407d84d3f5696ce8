"""``/ledgers`` and ``/ledgers/{sequence}``."""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from aurora_ingest.api.context import Snapshot, snapshot
from aurora_ingest.api.event_stream import STREAMED, Event, streamed
from aurora_ingest.api.hal import HalResponse, link
from aurora_ingest.api.instants import instant
from aurora_ingest.api.paging import Page, Paging, collection
from aurora_ingest.api.problems import BeforeHistory, NotFound
from aurora_ingest.db.read_ledgers import read_elder_ledger, read_ledger, read_ledgers
from aurora_ingest.ledger.toid import LEDGER_MAX, Toid
from aurora_ingest.orderbook.amount import units

router = APIRouter(tags=["ledgers"])


@router.get("/ledgers", summary="Ledgers, one after the other.", responses=STREAMED)
def ledgers(request: Request, page: Paging) -> Response:
    """A page of ledgers; with ``Accept: text/event-stream`` each new one as it closes."""
    cursor = ledger_cursor(page)

    def events(seen: Snapshot, at: Page) -> list[Event]:
        rows = read_ledgers(seen.connection, seen.ledger, ledger_cursor(at), at.limit, descending=at.descending)
        return [(str(row.id), ledger_document(row, request)) for row in rows]

    stream = streamed(request, page, events, newest=lambda seen: str(int(Toid(seen.ledger))))
    if stream is not None:
        return stream
    with snapshot(request) as seen:
        if page.descending and cursor is not None:
            elder = read_elder_ledger(seen.connection)
            if elder is not None and cursor < elder:
                raise BeforeHistory
        return seen.answer(collection([document for _, document in events(seen, page)], page, request))


@router.get("/ledgers/{sequence}", summary="One ledger.")
def ledger(request: Request, sequence: Annotated[int, Path(ge=1, le=LEDGER_MAX)]) -> HalResponse:
    """One ledger by its sequence."""
    with snapshot(request) as seen:
        row = read_ledger(seen.connection, sequence) if sequence <= seen.ledger else None
        if row is None:
            elder = read_elder_ledger(seen.connection)
            raise BeforeHistory if elder is not None and sequence < elder else NotFound
        return seen.answer(ledger_document(row, request))


def ledger_cursor(page: Page) -> int | None:
    """Returns the sequence that a page begins behind.

    Raises:
        BadRequest: the cursor is not a paging token.
    """
    number = page.number()
    return None if number is None else Toid.from_int(number).ledger


def ledger_document(row: sa.Row[Any], request: Request) -> dict[str, Any]:
    """Returns a ledger in Horizon's form.

    Args:
        row: of table ``history_ledgers``.
        request: for links.
    """
    here = f"/ledgers/{row.sequence}"
    document = {
        "_links": {
            "self": link(request, here),
            "transactions": link(request, f"{here}/transactions{{?cursor,limit,order}}"),
        },
        "id": row.ledger_hash,
        "paging_token": str(row.id),
        "hash": row.ledger_hash,
        "prev_hash": row.previous_ledger_hash,
        "sequence": row.sequence,
        "successful_transaction_count": row.successful_transaction_count,
        "failed_transaction_count": row.failed_transaction_count,
        "operation_count": row.operation_count,
        "tx_set_operation_count": row.tx_set_operation_count,
        "closed_at": instant(row.closed_at),
        "total_coins": units(row.total_coins),
        "fee_pool": units(row.fee_pool),
        "base_fee_in_stroops": row.base_fee,
        "base_reserve_in_stroops": row.base_reserve,
        "max_tx_set_size": row.max_tx_set_size,
        "protocol_version": row.protocol_version,
        "header_xdr": row.ledger_header,
    }
    if row.previous_ledger_hash is None:
        del document["prev_hash"]
    return document
