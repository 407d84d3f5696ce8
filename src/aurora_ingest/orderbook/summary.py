"""An order book in Horizon's JSON: bids and asks added up by price."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.amount import units
from aurora_ingest.orderbook.graph import Level

_PLACES = Decimal("0.0000001")


def price_text(n: int, d: int) -> str:
    """Writes a price with seven decimals, halves rounded up."""
    with localcontext() as context:
        context.prec = 40
        return f"{(Decimal(n) / Decimal(d)).quantize(_PLACES, ROUND_HALF_UP):f}"


def summary_json(base: Asset, counter: Asset, bids: Sequence[Level], asks: Sequence[Level]) -> dict[str, Any]:
    """Return both sides in Horizon's form.

    Args:
        base: what asks sell and bids buy.
        counter: what prices are in.
        bids: levels of the pair that sells the counter asset for the base asset.
        asks: levels of the pair that sells the base asset for the counter asset.
    """
    return {
        "bids": [_level(level.d, level.n, level.amount) for level in bids],
        "asks": [_level(level.n, level.d, level.amount) for level in asks],
        "base": asset_json(base),
        "counter": asset_json(counter),
    }


def asset_json(asset: Asset, prefix: str = "") -> dict[str, str]:
    """Return the fields that name an asset."""
    fields = {f"{prefix}asset_type": asset.kind}
    if asset.code:
        fields |= {f"{prefix}asset_code": asset.code, f"{prefix}asset_issuer": asset.issuer}
    return fields


def _level(n: int, d: int, amount: int) -> dict[str, Any]:
    return {"price_r": {"n": n, "d": d}, "price": price_text(n, d), "amount": units(amount)}
