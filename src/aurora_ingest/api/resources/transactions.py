"""``/transactions``, ``/transactions/{hash}`` and ``/ledgers/{sequence}/transactions``."""

from __future__ import annotations

import base64
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from aurora_ingest.api.context import Snapshot, snapshot
from aurora_ingest.api.event_stream import STREAMED, Event, Read, streamed
from aurora_ingest.api.filters import TransactionHash
from aurora_ingest.api.hal import HalResponse, Link, link
from aurora_ingest.api.instants import instant
from aurora_ingest.api.paging import Page, Paging, collection
from aurora_ingest.api.problems import BeforeHistory, NotFound
from aurora_ingest.db.read_ledgers import read_elder_ledger, read_ledger
from aurora_ingest.db.read_pages import KeyPage, closing_times
from aurora_ingest.db.read_transactions import bounds, read_transaction, read_transactions, texts
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger.toid import LEDGER_MAX, Toid

router = APIRouter(tags=["transactions"])

IncludeFailed = Annotated[bool, Query(description="Those that failed, too.")]
_PAGED: Final = "{?cursor,limit,order}"


@router.get("/transactions", summary="Transactions, one after the other.", responses=STREAMED)
def transactions(request: Request, page: Paging, include_failed: IncludeFailed = False) -> Response:
    """A page of transactions; with ``Accept: text/event-stream`` each new one as its ledger closes."""
    page.number()

    def read(seen: Snapshot, cursor: Page) -> list[sa.Row[Any]]:
        return _rows(seen, cursor, LedgerRange(1, seen.ledger), with_failed=include_failed)

    return _answered(request, page, read)


@router.get(
    "/ledgers/{sequence}/transactions", summary="Transactions of a ledger.", responses=STREAMED, tags=["ledgers"]
)
def transactions_of_ledger(
    request: Request,
    page: Paging,
    sequence: Annotated[int, Path(ge=1, le=LEDGER_MAX)],
    include_failed: IncludeFailed = False,
) -> Response:
    """A page of the transactions of a ledger."""
    page.number()

    def read(seen: Snapshot, cursor: Page) -> list[sa.Row[Any]]:
        if sequence > seen.ledger or read_ledger(seen.connection, sequence) is None:
            elder = read_elder_ledger(seen.connection)
            raise BeforeHistory if elder is not None and sequence < elder else NotFound
        return _rows(seen, cursor, LedgerRange(sequence, sequence), with_failed=include_failed)

    return _answered(request, page, read)


@router.get("/transactions/{transaction_hash}", summary="One transaction.")
def transaction(request: Request, transaction_hash: TransactionHash) -> HalResponse:
    """One transaction by its hash, or by that of the transaction inside of a fee bump."""
    sought = transaction_hash.lower()
    with snapshot(request) as seen:
        row = read_transaction(seen.connection, sought, seen.ledger)
        if row is None:
            raise NotFound
        closed = closing_times(seen.connection, [row.ledger_sequence]).get(row.ledger_sequence, row.created_at)
        return seen.answer(transaction_document(row, closed, partial(link, request), sought))


def _answered(request: Request, page: Page, read: Read[sa.Row[Any]]) -> Response:
    links = partial(link, request)

    def document(row: sa.Row[Any]) -> dict[str, Any]:
        return transaction_document(row, row.created_at, links)

    def events(seen: Snapshot, at: Page) -> list[Event]:
        return [(str(row.id), document(row)) for row in read(seen, at)]

    stream = streamed(request, page, events, newest=lambda seen: str(int(Toid(seen.ledger + 1)) - 1))
    if stream is not None:
        return stream
    with snapshot(request) as seen:
        cursor = page.number()
        if page.descending and cursor is not None:
            elder = read_elder_ledger(seen.connection)
            if elder is not None and Toid.from_int(cursor).ledger < elder:
                raise BeforeHistory
        return seen.answer(collection([document(row) for row in read(seen, page)], page, request))


def _rows(seen: Snapshot, page: Page, ledgers: LedgerRange, *, with_failed: bool) -> list[sa.Row[Any]]:
    cursor = page.number()
    here = KeyPage(None if cursor is None else (cursor,), page.descending, page.limit)
    return list(read_transactions(seen.connection, ledgers, here, with_failed=with_failed))


def transaction_document(
    row: sa.Row[Any], closed_at: datetime, links: Link, asked_hash: str | None = None
) -> dict[str, Any]:
    """Returns a transaction in Horizon's form.

    Args:
        row: of table ``history_transactions``.
        closed_at: when its ledger closed.
        links: makes links.
        asked_hash: the hash it was asked for by, if that is the one of a fee bump's inner transaction.
    """
    name = asked_hash or row.transaction_hash
    here, token = f"/transactions/{name}", str(row.id)
    is_bump = row.inner_transaction_hash is not None
    own, inner = texts(row.signatures), texts(row.inner_signatures)
    document: dict[str, Any] = {
        **_memo(row),
        "_links": {
            "self": links(here),
            "account": links(f"/accounts/{row.account}"),
            "ledger": links(f"/ledgers/{row.ledger_sequence}"),
            "operations": links(f"{here}/operations{_PAGED}"),
            "effects": links(f"{here}/effects{_PAGED}"),
            "precedes": links(f"/transactions?order=asc&cursor={token}"),
            "succeeds": links(f"/transactions?order=desc&cursor={token}"),
            "transaction": links(here),
        },
        "id": name,
        "paging_token": token,
        "successful": bool(row.successful),
        "hash": name,
        "ledger": row.ledger_sequence,
        "created_at": instant(closed_at),
        "source_account": row.account,
        **_muxed("account", row.account_muxed),
        "source_account_sequence": str(row.account_sequence),
        "fee_account": row.fee_account if is_bump else row.account,
        **_muxed("fee_account", row.fee_account_muxed if is_bump else row.account_muxed),
        "fee_charged": str(row.fee_charged),
        "max_fee": str(row.new_max_fee if is_bump else row.max_fee),
        "operation_count": row.operation_count,
        "envelope_xdr": row.tx_envelope,
        "result_xdr": row.tx_result,
        "result_meta_xdr": row.tx_meta,
        "fee_meta_xdr": row.tx_fee_meta,
        "memo_type": row.memo_type,
        "signatures": inner if is_bump and name != row.transaction_hash else own,
    }
    preconditions = _preconditions(row)
    if preconditions:
        document["preconditions"] = preconditions
    if is_bump:
        document["fee_bump_transaction"] = {"hash": row.transaction_hash, "signatures": own}
        document["inner_transaction"] = {
            "hash": row.inner_transaction_hash,
            "signatures": inner,
            "max_fee": str(row.max_fee),
        }
    return document


def _memo(row: sa.Row[Any]) -> dict[str, str]:
    if row.memo_type == "none":
        return {}
    memo = row.memo or ""
    if row.memo_type != "text":
        return {"memo": memo}
    content = memo.encode() if row.memo_bytes is None else bytes(row.memo_bytes)
    return {"memo": memo, "memo_bytes": base64.b64encode(content).decode()}


def _muxed(name: str, address: str | None) -> dict[str, str]:
    if address is None:
        return {}
    from aurora_ingest import _kernel

    _, content = _kernel.strkey_decode(address)
    return {f"{name}_muxed": address, f"{name}_muxed_id": str(int.from_bytes(content[-8:], "big"))}


def _preconditions(row: sa.Row[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    times, ledgers = bounds(row.time_bounds), bounds(row.ledger_bounds)
    if times is not None:
        found["timebounds"] = {
            name: str(value)
            for name, value in zip(("min_time", "max_time"), times, strict=True)
            if value is not None and (value or name == "min_time")
        }
    if ledgers is not None:
        lower, upper = ledgers
        found["ledgerbounds"] = {"min_ledger": lower or 0, **({"max_ledger": upper} if upper else {})}
    if row.min_account_sequence is not None:
        found["min_account_sequence"] = str(row.min_account_sequence)
    if row.min_account_sequence_age is not None:
        found["min_account_sequence_age"] = str(row.min_account_sequence_age)
    if row.min_account_sequence_ledger_gap:
        found["min_account_sequence_ledger_gap"] = row.min_account_sequence_ledger_gap
    signers = texts(row.extra_signers)
    if signers:
        found["extra_signers"] = signers
    return found
