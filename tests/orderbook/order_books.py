"""Order books for tests: offers and pools as rows of the tables, from values, from XDR, and from peers' dumps."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard
from stellar_sdk import xdr

from aurora_ingest import _kernel
from aurora_ingest.ledger.asset import Asset

ISSUER = _kernel.strkey_encode("G", bytes(32))
OTHER = _kernel.strkey_encode("G", bytes([7] * 32))


@dataclass(frozen=True)
class Offer:
    """One row of ``offers``; price and amount as there."""

    offer_id: int
    selling: Asset
    buying: Asset
    n: int
    d: int
    amount: int
    seller: str = ISSUER


@dataclass(frozen=True)
class Pool:
    """One row of ``liquidity_pools``."""

    pool_id: str
    asset_a: Asset
    asset_b: Asset
    reserve_a: int
    reserve_b: int
    fee: int = 30


def asset(code: str, issuer: str = ISSUER) -> Asset:
    """The native asset, or one of the issuer."""
    return Asset.parse("native" if code == "native" else f"{code}:{issuer}")


def offer_rows(offers: Iterable[Offer]) -> pa.RecordBatch:
    """Offers as rows of the table."""
    rows = list(offers)
    return pa.record_batch(
        {
            "offer_id": pa.array([offer.offer_id for offer in rows], pa.int64()),
            "seller_id": pa.array([offer.seller for offer in rows], pa.string()),
            "selling_asset": pa.array([offer.selling.key for offer in rows], pa.string()),
            "buying_asset": pa.array([offer.buying.key for offer in rows], pa.string()),
            "amount": pa.array([offer.amount for offer in rows], pa.int64()),
            "pricen": pa.array([offer.n for offer in rows], pa.int32()),
            "priced": pa.array([offer.d for offer in rows], pa.int32()),
        }
    )


def pool_rows(pools: Iterable[Pool]) -> pa.RecordBatch:
    """Pools as rows of the table."""
    rows = list(pools)
    reserves = [
        json.dumps(
            [
                {"asset": pool.asset_a.key, "reserve": str(pool.reserve_a)},
                {"asset": pool.asset_b.key, "reserve": str(pool.reserve_b)},
            ]
        )
        for pool in rows
    ]
    return pa.record_batch(
        {
            "id": pa.array([pool.pool_id for pool in rows], pa.string()),
            "fee": pa.array([pool.fee for pool in rows], pa.int32()),
            "asset_reserves": pa.array(reserves, pa.string()),
        }
    )


def read_json(path: Path) -> Any:
    """A JSON file, packed or not."""
    return json.loads(_unpacked(path))


def offers_of_xdr(path: Path) -> list[Offer]:
    """A file with one base64 OfferEntry a line."""
    return [_offer(base64.b64decode(line)) for line in _unpacked(path).split()]


def pools_of_xdr(path: Path) -> list[Pool]:
    """A file with one base64 LiquidityPoolEntry a line."""
    pools = []
    for line in _unpacked(path).split():
        entry = xdr.LiquidityPoolEntry.from_xdr(line.decode())
        body = entry.body.constant_product
        assert body is not None
        pools.append(
            Pool(
                entry.liquidity_pool_id.pool_id.hash.hex(),
                _asset(body.params.asset_a),
                _asset(body.params.asset_b),
                body.reserve_a.int64,
                body.reserve_b.int64,
                body.params.fee.int32,
            )
        )
    return pools


def offers_of_scenario(path: Path) -> list[Offer]:
    """The offers after the last ledger of a scenario."""
    return [
        Offer(
            row["offerid"],
            _asset_in(row, "selling"),
            _asset_in(row, "buying"),
            row["pricen"],
            row["priced"],
            row["amount"],
            row["sellerid"],
        )
        for row in read_json(path)["expected_state"]["offers"]
    ]


def _asset_in(row: dict[str, Any], side: str) -> Asset:
    """The asset of a dump of either schema: one column of XDR, or three."""
    if f"{side}asset" in row:
        return Asset.of_key(row[f"{side}asset"])
    return asset(row[f"{side}assetcode"] or "native", row[f"{side}issuer"])


def offers_of_vector(rows: Sequence[dict[str, Any]]) -> list[Offer]:
    """The offers of one vector."""
    return [
        Offer(row["offer_id"], asset(row["selling"]), asset(row["buying"]), *row["price"], row["amount"], row["seller"])
        for row in rows
    ]


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return zstandard.ZstdDecompressor().decompressobj().decompress(data) if path.suffix == ".zst" else data


def _asset(value: xdr.Asset) -> Asset:
    return _asset_of(value.to_xdr_bytes())


def _offer(entry: bytes) -> Offer:
    """Reads an OfferEntry by hand: stellar-sdk takes half a minute for 200,000."""
    seller = _kernel.strkey_encode("G", entry[4:36])
    (offer_id,) = struct.unpack_from(">q", entry, 36)
    selling, place = _asset_at(entry, 44)
    buying, place = _asset_at(entry, place)
    amount, n, d = struct.unpack_from(">qii", entry, place)
    return Offer(offer_id, selling, buying, n, d, amount, seller)


def _asset_at(entry: bytes, start: int) -> tuple[Asset, int]:
    end = start + {0: 4, 1: 44, 2: 52}[int.from_bytes(entry[start : start + 4], "big")]
    return _asset_of(entry[start:end]), end


@cache
def _asset_of(asset_xdr: bytes) -> Asset:
    return Asset.of_key(base64.b64encode(asset_xdr).decode())
