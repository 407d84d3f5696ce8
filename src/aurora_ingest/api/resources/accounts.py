"""``/accounts``, ``/accounts/{account_id}``, its offers and its data entries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from aurora_ingest.api.context import Snapshot, snapshot
from aurora_ingest.api.event_stream import STREAMED, streamed_document
from aurora_ingest.api.filters import AccountFilter, AccountId, AssetFilter, PoolFilter, is_account
from aurora_ingest.api.hal import HalResponse, Link, link
from aurora_ingest.api.instants import instant
from aurora_ingest.api.paging import Page, Paging, collection
from aurora_ingest.api.problems import BadRequest, NotFound
from aurora_ingest.db.read_accounts import (
    AccountRows,
    read_account,
    read_accounts_of_asset,
    read_accounts_of_pool,
    read_accounts_of_signer,
    read_accounts_of_sponsor,
    read_data_entry,
)
from aurora_ingest.db.read_pages import KeyPage
from aurora_ingest.ledger.asset import NATIVE, Asset
from aurora_ingest.orderbook.amount import units

router = APIRouter(tags=["accounts"])

POOL_SHARES: Final = "liquidity_pool_shares"
_KINDS: Final = {1: "credit_alphanum4", 2: "credit_alphanum12", 3: POOL_SHARES}
_SIGNER_KINDS: Final = {
    "G": "ed25519_public_key",
    "T": "preauth_tx",
    "X": "sha256_hash",
    "P": "ed25519_signed_payload",
}
_AUTHORIZED: Final = 1
_MAY_MAINTAIN: Final = 2
_CLAWBACK: Final = 4


class InvalidAccountsParams(BadRequest):
    """Not exactly one filter."""

    kind, title = "invalid_accounts_params", "Invalid Accounts Parameters"
    detail = (
        "Exactly one filter is required. Please ensure that you are including a signer, sponsor, asset, or liquidity "
        "pool filter."
    )


@router.get("/accounts", summary="Accounts with a signer, a sponsor, an asset or shares of a pool.")
def accounts(
    request: Request,
    page: Paging,
    signer: AccountFilter = None,
    sponsor: AccountFilter = None,
    asset: AssetFilter = None,
    liquidity_pool: PoolFilter = None,
) -> HalResponse:
    """A page of accounts; exactly one filter is needed."""
    if asset == NATIVE:
        raise BadRequest.of_field("asset", "you can't filter by asset: native")
    if sum(each is not None for each in (signer, sponsor, asset, liquidity_pool)) != 1:
        raise InvalidAccountsParams
    keys = KeyPage(_cursor(page), page.descending, page.limit)
    with snapshot(request) as seen:
        if signer is not None:
            found = read_accounts_of_signer(seen.connection, signer, keys)
        elif sponsor is not None:
            found = read_accounts_of_sponsor(seen.connection, sponsor, keys)
        elif asset is not None:
            found = read_accounts_of_asset(seen.connection, Asset.parse(asset), keys)
        else:
            found = read_accounts_of_pool(seen.connection, str(liquidity_pool).lower(), keys)
        to = partial(link, request)
        return seen.answer(collection([account_document(each, to) for each in found], page, request))


@router.get("/accounts/{account_id}", summary="One account.", responses=STREAMED)
def account(request: Request, account_id: AccountId) -> Response:
    """One account with its balances, signers and data; with ``Accept: text/event-stream`` as it changes."""

    def read(seen: Snapshot) -> dict[str, Any]:
        found = read_account(seen.connection, account_id)
        if found is None:
            raise NotFound
        return account_document(found, partial(link, request))

    return _one(request, read)


@router.get("/accounts/{account_id}/data/{key:path}", summary="A data entry of an account.", responses=STREAMED)
def data_entry(
    request: Request, account_id: AccountId, key: Annotated[str, Path(min_length=1, max_length=64)]
) -> Response:
    """The value of a data entry, in base64; with ``Accept: text/event-stream`` as it changes."""

    def read(seen: Snapshot) -> dict[str, Any]:
        found = read_data_entry(seen.connection, account_id, key)
        if found is None:
            raise NotFound
        return {"value": found.value} | _sponsor(found)

    return _one(request, read)


def account_document(rows: AccountRows, to: Link) -> dict[str, Any]:
    """Returns an account in Horizon's form.

    Args:
        rows: the account.
        to: makes links.
    """
    row = rows.account
    here = f"/accounts/{row.account_id}"
    paged = ("transactions", "operations", "payments", "effects", "offers", "trades")
    document = {
        "_links": {
            "self": to(here),
            **{name: to(f"{here}/{name}{{?cursor,limit,order}}") for name in paged},
            "data": to(f"{here}/data/{{key}}"),
        },
        "id": row.account_id,
        "account_id": row.account_id,
        "sequence": str(row.sequence_number),
    }
    if row.sequence_ledger and row.sequence_time is not None:
        document |= {"sequence_ledger": row.sequence_ledger, "sequence_time": str(row.sequence_time)}
    document["subentry_count"] = row.num_subentries
    if row.inflation_destination:
        document["inflation_destination"] = row.inflation_destination
    if row.home_domain:
        document["home_domain"] = row.home_domain
    return document | {
        "last_modified_ledger": row.last_modified_ledger,
        "last_modified_time": None if rows.modified_at is None else instant(rows.modified_at),
        "thresholds": {
            "low_threshold": row.threshold_low,
            "med_threshold": row.threshold_medium,
            "high_threshold": row.threshold_high,
        },
        "flags": account_flags(row.flags),
        "balances": [*map(_trust_line, rows.trust_lines), _native(row)],
        "signers": _signers(rows),
        "data": {each.name: each.value for each in rows.data},
        "num_sponsoring": row.num_sponsoring or 0,
        "num_sponsored": row.num_sponsored or 0,
        **_sponsor(row),
        "paging_token": row.account_id,
    }


def account_flags(flags: int) -> dict[str, bool]:
    """Returns what an issuer's flags say."""
    names = ("auth_required", "auth_revocable", "auth_immutable", "auth_clawback_enabled")
    return {name: bool(flags >> bit & 1) for bit, name in enumerate(names)}


def _one(request: Request, read: Callable[[Snapshot], dict[str, Any]]) -> Response:
    """Returns a document, or a stream of it."""

    def now() -> tuple[int, dict[str, Any]]:
        with snapshot(request) as seen:
            return seen.ledger, read(seen)

    stream = streamed_document(request, now)
    if stream is not None:
        return stream
    with snapshot(request) as seen:
        return seen.answer(read(seen))


def _sponsor(row: sa.Row[Any]) -> dict[str, str]:
    return {} if row.sponsor is None else {"sponsor": row.sponsor}


def _native(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "balance": units(row.balance),
        "buying_liabilities": units(row.buying_liabilities),
        "selling_liabilities": units(row.selling_liabilities),
        "asset_type": NATIVE,
    }


def _trust_line(row: sa.Row[Any]) -> dict[str, Any]:
    """Returns a balance; for pool shares Horizon tells neither liabilities, of which there are none, nor a sponsor."""
    kind = _KINDS[row.asset_type]
    balance: dict[str, Any] = {"balance": units(row.balance)}
    if kind == POOL_SHARES:
        balance |= {"liquidity_pool_id": row.liquidity_pool_id, "limit": units(row.trust_line_limit)}
    else:
        balance |= {
            "limit": units(row.trust_line_limit),
            "buying_liabilities": units(row.buying_liabilities),
            "selling_liabilities": units(row.selling_liabilities),
            **_sponsor(row),
        }
    authorized = bool(row.flags & _AUTHORIZED)
    balance |= {
        "last_modified_ledger": row.last_modified_ledger,
        "is_authorized": authorized,
        "is_authorized_to_maintain_liabilities": authorized or bool(row.flags & _MAY_MAINTAIN),
    }
    if row.flags & _CLAWBACK:
        balance["is_clawback_enabled"] = True
    balance["asset_type"] = kind
    if kind != POOL_SHARES:
        balance |= {"asset_code": row.asset_code, "asset_issuer": row.asset_issuer}
    return balance


def _signers(rows: AccountRows) -> list[dict[str, Any]]:
    """Returns the signers; the master key comes last if it may not sign."""
    signers = [
        {"weight": each.weight, "key": each.signer, "type": _SIGNER_KINDS[each.signer[0]], **_sponsor(each)}
        for each in rows.signers
    ]
    master = rows.account.account_id
    if all(each["key"] != master for each in signers):
        signers.append({"weight": rows.account.master_weight, "key": master, "type": _SIGNER_KINDS["G"]})
    return signers


def _cursor(page: Page) -> tuple[str] | None:
    if not page.cursor:
        return None
    if not is_account(page.cursor):
        raise BadRequest.of_field("cursor", "the cursor is not a valid paging_token: expected an account id")
    return (page.cursor,)
