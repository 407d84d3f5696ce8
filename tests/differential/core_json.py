"""stellar-core's ``dump-ledger`` and ``getledgerentry`` output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zstandard
from stellar_sdk import SignerKey, StrKey, xdr

Json = dict[str, Any]
_NOTHING = bytes(4)


def json_values(path: Path) -> Iterator[Json]:
    """Yields the JSON objects that stand one after the other in a zstd file."""
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value
        while at < len(text) and text[at].isspace():
            at += 1


def dumped_entries(path: Path) -> Iterator[Json]:
    """Yields the live entries that ``dump-ledger`` printed: lastModifiedLedgerSeq, data, ext."""
    for value in json_values(path):
        yield value["entry"]


def classic_entry(entry: Json) -> xdr.LedgerEntry:
    """Returns a printed entry of a classic type as an object of stellar-sdk."""
    kind = entry["data"]["type"]
    name, number, write = _CLASSIC[kind]
    sponsor = entry["ext"].get("v1", {}).get("sponsoringID")
    data = b"".join(
        [
            _u32(entry["lastModifiedLedgerSeq"]),
            _u32(number),
            write(entry["data"][name]),
            _u32(1) + _optional_account(sponsor) + _NOTHING if entry["ext"]["v"] else _NOTHING,
        ]
    )
    return xdr.LedgerEntry.from_xdr_bytes(data)


def is_classic(entry: Json) -> bool:
    """Says whether ``classic_entry`` takes the entry."""
    return entry["data"]["type"] in _CLASSIC


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _i64(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)


def _opaque(raw: bytes) -> bytes:
    return _u32(len(raw)) + raw + bytes(-len(raw) % 4)


def _account_id(account: str) -> bytes:
    return _NOTHING + StrKey.decode_ed25519_public_key(account)


def _optional_account(account: str | None) -> bytes:
    return _u32(1) + _account_id(account) if account else _NOTHING


def _list(items: list[Any], write: Callable[[Any], bytes]) -> bytes:
    return _u32(len(items)) + b"".join(write(item) for item in items)


def _asset(asset: str | Json) -> bytes:
    """Writes an asset, or a pool id where a trust line has one."""
    if asset == "NATIVE":
        return _NOTHING
    if isinstance(asset, str):
        return _u32(3) + bytes.fromhex(asset)
    code = asset["assetCode"].encode()
    width = 4 if len(code) <= 4 else 12
    return _u32(1 if width == 4 else 2) + code.ljust(width, b"\0") + _account_id(asset["issuer"])


def _liabilities(v1: Json) -> bytes:
    return _i64(v1["liabilities"]["buying"]) + _i64(v1["liabilities"]["selling"])


def _account(entry: Json) -> bytes:
    v1 = entry["ext"].get("v1")
    extension = _NOTHING
    if v1:
        v2 = v1["ext"].get("v2")
        extension = _u32(1) + _liabilities(v1) + _u32(v1["ext"]["v"])
        if v2:
            extension += _u32(v2["numSponsored"]) + _u32(v2["numSponsoring"])
            extension += _list(v2["signerSponsoringIDs"], _optional_account) + _u32(v2["ext"]["v"])
            if v3 := v2["ext"].get("v3"):
                extension += _NOTHING + _u32(v3["seqLedger"]) + _i64(v3["seqTime"])
    return b"".join(
        [
            _account_id(entry["accountID"]),
            _i64(entry["balance"]),
            _i64(entry["seqNum"]),
            _u32(entry["numSubEntries"]),
            _optional_account(entry["inflationDest"]),
            _u32(entry["flags"]),
            _opaque(entry["homeDomain"].encode()),
            bytes.fromhex(entry["thresholds"]),
            _list(entry["signers"], _signer),
            extension,
        ]
    )


def _signer(signer: Json) -> bytes:
    key = signer["key"]
    match key["type"].removeprefix("SIGNER_KEY_TYPE_"):
        case "ED25519":
            made = SignerKey.ed25519_public_key(bytes.fromhex(key["ed25519"]))
        case "PRE_AUTH_TX":
            made = SignerKey.pre_auth_tx(bytes.fromhex(key["preAuthTx"]))
        case "HASH_X":
            made = SignerKey.sha256_hash(bytes.fromhex(key["hashX"]))
        case _:
            payload = key["ed25519SignedPayload"]
            return b"".join(
                [
                    _u32(3),
                    bytes.fromhex(payload["ed25519"]),
                    _opaque(bytes.fromhex(payload["payload"])),
                    _u32(signer["weight"]),
                ]
            )
    return made.to_xdr_object().to_xdr_bytes() + _u32(signer["weight"])


def _trust_line(entry: Json) -> bytes:
    v1 = entry["ext"].get("v1")
    extension = _NOTHING
    if v1:
        v2 = v1["ext"].get("v2")
        extension = _u32(1) + _liabilities(v1) + _u32(v1["ext"]["v"])
        if v2:
            extension += _u32(v2["liquidityPoolUseCount"]) + _NOTHING
    head = _account_id(entry["accountID"]) + _asset(entry["asset"])
    return head + _i64(entry["balance"]) + _i64(entry["limit"]) + _u32(entry["flags"]) + extension


def _offer(entry: Json) -> bytes:
    return b"".join(
        [
            _account_id(entry["sellerID"]),
            _i64(entry["offerID"]),
            _asset(entry["selling"]),
            _asset(entry["buying"]),
            _i64(entry["amount"]),
            _u32(entry["price"]["n"]),
            _u32(entry["price"]["d"]),
            _u32(entry["flags"]),
            _NOTHING,
        ]
    )


def _data(entry: Json) -> bytes:
    value = bytes.fromhex(entry["dataValue"])
    return _account_id(entry["accountID"]) + _opaque(entry["dataName"].encode()) + _opaque(value) + _NOTHING


def _claimable_balance(entry: Json) -> bytes:
    v1 = entry["ext"].get("v1")
    return b"".join(
        [
            _NOTHING + bytes.fromhex(entry["balanceID"]["v0"]),
            _list(entry["claimants"], _claimant),
            _asset(entry["asset"]),
            _i64(entry["amount"]),
            _u32(1) + _NOTHING + _u32(v1["flags"]) if v1 else _NOTHING,
        ]
    )


def _claimant(claimant: Json) -> bytes:
    return _NOTHING + _account_id(claimant["v0"]["destination"]) + _predicate(claimant["v0"]["predicate"])


def _predicate(predicate: Json) -> bytes:
    match predicate["type"].removeprefix("CLAIM_PREDICATE_"):
        case "UNCONDITIONAL":
            return _NOTHING
        case "AND":
            return _u32(1) + _list(predicate["andPredicates"], _predicate)
        case "OR":
            return _u32(2) + _list(predicate["orPredicates"], _predicate)
        case "NOT":
            return _u32(3) + _u32(1) + _predicate(predicate["notPredicate"])
        case "BEFORE_ABSOLUTE_TIME":
            return _u32(4) + _i64(predicate["absBefore"])
    return _u32(5) + _i64(predicate["relBefore"])


def _liquidity_pool(entry: Json) -> bytes:
    product = entry["body"]["constantProduct"]
    params = product["params"]
    return b"".join(
        [
            bytes.fromhex(entry["liquidityPoolID"]) + _NOTHING,
            _asset(params["assetA"]),
            _asset(params["assetB"]),
            _u32(params["fee"]),
            _i64(product["reserveA"]),
            _i64(product["reserveB"]),
            _i64(product["totalPoolShares"]),
            _i64(product["poolSharesTrustLineCount"]),
        ]
    )


_CLASSIC: dict[str, tuple[str, int, Callable[[Json], bytes]]] = {
    "ACCOUNT": ("account", 0, _account),
    "TRUSTLINE": ("trustLine", 1, _trust_line),
    "OFFER": ("offer", 2, _offer),
    "DATA": ("data", 3, _data),
    "CLAIMABLE_BALANCE": ("claimableBalance", 4, _claimable_balance),
    "LIQUIDITY_POOL": ("liquidityPool", 5, _liquidity_pool),
}
