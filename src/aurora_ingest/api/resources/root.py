"""``/``: what there is, and where ingestion stands."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request

from aurora_ingest import __version__
from aurora_ingest.api.context import Service, database_answers
from aurora_ingest.api.hal import HalResponse, link
from aurora_ingest.api.instants import instant
from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.db.read_ledgers import read_elder_ledger, read_ledger
from aurora_ingest.db.reader import reading
from aurora_ingest.network import NEWEST_PROTOCOL

router = APIRouter()

_PAGED: Final = "cursor,limit,order"
_LINKS: Final = {
    "account": "/accounts/{account_id}",
    "account_offers": f"/accounts/{{account_id}}/offers{{?{_PAGED}}}",
    "accounts": f"/accounts{{?signer,sponsor,asset,liquidity_pool,{_PAGED}}}",
    "assets": f"/assets{{?asset_code,asset_issuer,{_PAGED}}}",
    "claimable_balances": f"/claimable_balances{{?asset,sponsor,claimant,{_PAGED}}}",
    "ledger": "/ledgers/{sequence}",
    "ledgers": f"/ledgers{{?{_PAGED}}}",
    "liquidity_pools": f"/liquidity_pools{{?reserves,account,{_PAGED}}}",
    "offer": "/offers/{offer_id}",
    "offers": f"/offers{{?selling,buying,seller,sponsor,{_PAGED}}}",
    "order_book": "/order_book{?selling_asset_type,selling_asset_code,selling_asset_issuer,buying_asset_type,"
    "buying_asset_code,buying_asset_issuer,limit}",
    "self": "/",
    "strict_receive_paths": "/paths/strict-receive{?source_assets,source_account,destination_account,"
    "destination_asset_type,destination_asset_code,destination_asset_issuer,destination_amount}",
    "strict_send_paths": "/paths/strict-send{?destination_account,destination_assets,source_asset_type,"
    "source_asset_code,source_asset_issuer,source_amount}",
    "transaction": "/transactions/{hash}",
    "transactions": f"/transactions{{?include_failed,{_PAGED}}}",
}


@router.get("/", summary="What there is, and where ingestion stands.")
def root(request: Request) -> HalResponse:
    """Tells addresses, versions and cursors; answers before there is a state, too."""
    service: Service = request.app.state.service
    with (
        database_answers(),
        reading(service.engine, service.options.statement_seconds) as (connection, standing),
    ):
        elder = read_elder_ledger(connection)
        latest = read_ledger(connection, standing.ledger) if standing.ledger is not None else None
    document: dict[str, Any] = {
        "_links": {name: link(request, path) for name, path in _LINKS.items()},
        "horizon_version": f"aurora-ingest-{__version__}",
        "core_version": "",
        "ingest_latest_ledger": standing.ledger or 0,
        "ingest_latest_ledger_hash": standing.ledger_hash,
        "ingest_version": standing.version,
        "ingest_current_version": CURRENT_VERSION,
        "ingest_state_invalid": standing.state_invalid,
        "history_latest_ledger": 0 if latest is None else latest.sequence,
        "history_latest_ledger_closed_at": None if latest is None else instant(latest.closed_at),
        "history_elder_ledger": elder or 0,
        "core_latest_ledger": standing.ledger or 0,
        "network_passphrase": standing.network_passphrase or "",
        "current_protocol_version": 0 if latest is None else latest.protocol_version,
        "supported_protocol_version": NEWEST_PROTOCOL,
        "core_supported_protocol_version": NEWEST_PROTOCOL,
    }
    headers = {} if standing.ledger is None else {"Latest-Ledger": str(standing.ledger)}
    return HalResponse(document, headers=headers)
