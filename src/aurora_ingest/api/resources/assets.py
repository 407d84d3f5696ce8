"""``/assets``: issued assets with the numbers of their holders and what these hold."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request

from aurora_ingest import _kernel
from aurora_ingest.api.context import snapshot
from aurora_ingest.api.filters import AccountFilter, CodeFilter, is_account, is_asset_code
from aurora_ingest.api.hal import HalResponse
from aurora_ingest.api.paging import Page, Paging, collection
from aurora_ingest.api.problems import BadRequest
from aurora_ingest.api.resources.accounts import account_flags
from aurora_ingest.db.read_assets import KINDS, AssetRow, read_assets
from aurora_ingest.db.read_pages import KeyPage
from aurora_ingest.orderbook.amount import units

router = APIRouter(tags=["assets"])

_HELD: Final = ("authorized", "authorized_to_maintain_liabilities", "unauthorized")


@router.get("/assets", summary="Issued assets with their statistics.")
def assets(
    request: Request, page: Paging, asset_code: CodeFilter = None, asset_issuer: AccountFilter = None
) -> HalResponse:
    """A page of issued assets that somebody holds or that have a contract."""
    keys = KeyPage(_cursor(page), page.descending, page.limit)
    with snapshot(request) as seen:
        found = read_assets(seen.connection, asset_code, asset_issuer, keys)
        return seen.answer(collection([asset_document(each) for each in found], page, request))


def asset_document(row: AssetRow) -> dict[str, Any]:
    """Returns the statistics of an asset in Horizon's form.

    Args:
        row: the asset; one that nobody holds has zeros.
    """
    accounts, balances, contracts = row.accounts or {}, row.balances or {}, row.contracts or {}
    domain = row.home_domain
    amounts = {name: units(int(amount)) for name, amount in balances.items()}
    none = units(0)
    return {
        "_links": {"toml": {"href": f"https://{domain}/.well-known/stellar.toml" if domain.strip() else ""}},
        "asset_type": row.kind,
        "asset_code": row.code,
        "asset_issuer": row.issuer,
        "paging_token": f"{row.code}_{row.issuer}_{row.kind}",
        **({} if row.contract_id is None else {"contract_id": _kernel.strkey_encode("C", row.contract_id)}),
        "num_claimable_balances": accounts.get("claimable_balances", 0),
        "num_liquidity_pools": accounts.get("liquidity_pools", 0),
        "num_contracts": contracts.get("holders", 0),
        "accounts": {name: accounts.get(name, 0) for name in _HELD},
        "claimable_balances_amount": amounts.get("claimable_balances", none),
        "liquidity_pools_amount": amounts.get("liquidity_pools", none),
        "contracts_amount": units(int(contracts.get("balance", 0))),
        "balances": {name: amounts.get(name, none) for name in _HELD},
        "flags": account_flags(row.issuer_flags),
    }


def _cursor(page: Page) -> tuple[str, str] | None:
    if not page.cursor:
        return None
    code, _, rest = page.cursor.partition("_")
    issuer, _, kind = rest.partition("_")
    if not (is_asset_code(code) and is_account(issuer) and kind in KINDS):
        raise BadRequest.of_field("cursor", "the cursor is not a valid paging_token")
    return code, issuer
