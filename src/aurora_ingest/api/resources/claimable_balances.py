"""``/claimable_balances`` and ``/claimable_balances/{id}``."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Path
from starlette.requests import Request

from aurora_ingest.api.context import snapshot
from aurora_ingest.api.filters import AccountFilter, AssetFilter, BalanceId, is_balance_id
from aurora_ingest.api.hal import HalResponse, Link, link
from aurora_ingest.api.instants import instant
from aurora_ingest.api.paging import Page, Paging, collection
from aurora_ingest.api.problems import BadRequest, NotFound
from aurora_ingest.db.read_claimable_balances import BalanceFilter, read_claimable_balance, read_claimable_balances
from aurora_ingest.db.read_pages import KeyPage, closing_times, json_value
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.ledger.toid import LEDGER_MAX
from aurora_ingest.orderbook.amount import units

router = APIRouter(tags=["claimable balances"])

_CLAWBACK: Final = 1
_NUMBER: Final = re.compile("[0-9]{1,10}")


@router.get("/claimable_balances", summary="Claimable balances.")
def claimable_balances(
    request: Request,
    page: Paging,
    asset: AssetFilter = None,
    sponsor: AccountFilter = None,
    claimant: AccountFilter = None,
) -> HalResponse:
    """A page of claimable balances; all filters given have to hold."""
    chosen = BalanceFilter(asset=None if asset is None else Asset.parse(asset), sponsor=sponsor, claimant=claimant)
    keys = KeyPage(_cursor(page), page.descending, page.limit)
    with snapshot(request) as seen:
        rows = read_claimable_balances(seen.connection, chosen, keys)
        times = closing_times(seen.connection, (row.last_modified_ledger for row in rows))
        to = partial(link, request)
        documents = [balance_document(row, times.get(row.last_modified_ledger), to) for row in rows]
        return seen.answer(collection(documents, page, request))


@router.get("/claimable_balances/{id}", summary="One claimable balance.")
def claimable_balance(request: Request, balance_id: Annotated[BalanceId, Path(alias="id")]) -> HalResponse:
    """One claimable balance by its id."""
    with snapshot(request) as seen:
        row = read_claimable_balance(seen.connection, balance_id.lower())
        if row is None:
            raise NotFound
        times = closing_times(seen.connection, [row.last_modified_ledger])
        return seen.answer(balance_document(row, times.get(row.last_modified_ledger), partial(link, request)))


def balance_document(row: sa.Row[Any], modified_at: datetime | None, to: Link) -> dict[str, Any]:
    """Returns a claimable balance in Horizon's form.

    Args:
        row: of table ``claimable_balances``.
        modified_at: when the ledger closed that changed it last, None if history does not reach back to it.
        to: makes links.
    """
    here = f"/claimable_balances/{row.id}"
    document = {
        "_links": {
            "self": to(here),
            **{name: to(f"{here}/{name}{{?cursor,limit,order}}") for name in ("transactions", "operations")},
        },
        "id": row.id,
        "asset": str(Asset.of_key(row.asset)),
        "amount": units(row.amount),
        **({} if row.sponsor is None else {"sponsor": row.sponsor}),
        "last_modified_ledger": row.last_modified_ledger,
        "last_modified_time": None if modified_at is None else instant(modified_at),
        "claimants": json_value(row.claimants),
        "flags": {"clawback_enabled": bool(row.flags & _CLAWBACK)},
    }
    return document | {"paging_token": f"{row.last_modified_ledger}-{row.id}"}


def _cursor(page: Page) -> tuple[int, str] | None:
    if not page.cursor:
        return None
    ledger, _, balance = page.cursor.partition("-")
    if not _NUMBER.fullmatch(ledger) or int(ledger) > LEDGER_MAX or not is_balance_id(balance):
        reason = (
            "The first part should be a number higher than 0 and the second part should be a valid claimable balance ID"
        )
        raise BadRequest.of_field("cursor", reason)
    return int(ledger), balance.lower()
