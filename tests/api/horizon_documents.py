"""The documents that Horizon has to give of a state, worked out entry by entry from the objects of stellar-sdk.

Names, forms and what is left out are those of Horizon's protocol (protocols/horizon of its SDK).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

from stellar_sdk import xdr

from kernel.sdk_rows import expected_row

Json = dict[str, Any]
_KINDS = ("native", "credit_alphanum4", "credit_alphanum12", "liquidity_pool_shares")
_SIGNERS = {"G": "ed25519_public_key", "T": "preauth_tx", "X": "sha256_hash", "P": "ed25519_signed_payload"}
_PAGED = "{?cursor,limit,order}"
_CYCLE = 146_097 * 86_400
_HELD = ("authorized", "authorized_to_maintain_liabilities", "unauthorized")


@dataclass
class HorizonDocuments:
    """All documents of a state.

    Attributes:
        accounts: by account id.
        offers: by offer id.
        claimable_balances: by balance id.
        liquidity_pools: by pool id.
        assets: by paging token.
    """

    accounts: dict[str, Json] = field(default_factory=dict)
    offers: dict[int, Json] = field(default_factory=dict)
    claimable_balances: dict[str, Json] = field(default_factory=dict)
    liquidity_pools: dict[str, Json] = field(default_factory=dict)
    assets: dict[str, Json] = field(default_factory=dict)


def horizon_documents(
    entries: Iterable[xdr.LedgerEntry],
    passphrase: str,
    closed: dict[int, str],
    base: str,
    contracts: Iterable[Json] = (),
) -> HorizonDocuments:
    """Returns the documents of all entries of a state.

    Args:
        entries: the live entries.
        passphrase: of the network.
        closed: when ledgers closed; of others history knows nothing.
        base: the service's address.
        contracts: of assets: their names, ``contract_id``, ``holders`` and ``balance``.
    """
    network_id = hashlib.sha256(passphrase.encode()).digest()
    rows: defaultdict[str, list[Json]] = defaultdict(list)
    for entry in entries:
        table, row = expected_row(entry, 0, network_id)
        rows[table].append(row)
    documents = HorizonDocuments()
    for row in rows["offer"]:
        documents.offers[row["offer_id"]] = _offer(row, closed, base)
    for row in rows["claimable_balance"]:
        documents.claimable_balances[row["balance_id"]] = _balance(row, closed, base)
    for row in rows["liquidity_pool"]:
        documents.liquidity_pools[row["pool_id"]] = _pool(row, closed, base)
    lines, data = (_by_account(rows[table]) for table in ("trust_line", "data"))
    for row in rows["account"]:
        account = row["account_id"]
        documents.accounts[account] = _account(row, lines[account], data[account], closed, base)
    documents.assets = _assets(rows, contracts)
    return documents


def amount(stroops: int) -> str:
    """Seven decimals."""
    return f"{Decimal(stroops).scaleb(-7):.7f}"


def _by_account(rows: list[Json]) -> defaultdict[str, list[Json]]:
    found: defaultdict[str, list[Json]] = defaultdict(list)
    for row in rows:
        found[row["account_id"]].append(row)
    return found


def _link(base: str, path: str) -> Json:
    return {"href": base + path, "templated": True} if "{" in path else {"href": base + path}


def _last_modified(row: Json, closed: dict[int, str]) -> Json:
    ledger = row["last_modified_ledger"]
    return {"last_modified_ledger": ledger, "last_modified_time": closed.get(ledger)}


def _given(**fields: Any) -> Json:
    """What Go leaves out when it is empty."""
    return {name: value for name, value in fields.items() if value not in {None, "", 0}}


def _asset(row: Json, prefix: str) -> Json:
    code, issuer = row[f"{prefix}asset_code"], row[f"{prefix}asset_issuer"]
    return {"asset_type": _KINDS[row[f"{prefix}asset_type"]]} | _given(asset_code=code, asset_issuer=issuer)


def _canonical(row: Json, prefix: str) -> str:
    code = row[f"{prefix}asset_code"]
    return "native" if code is None else f"{code}:{row[f'{prefix}asset_issuer']}"


def _flags(flags: int) -> Json:
    return {
        "auth_required": flags & 1 == 1,
        "auth_revocable": flags & 2 == 2,
        "auth_immutable": flags & 4 == 4,
        "auth_clawback_enabled": flags & 8 == 8,
    }


def _account(row: Json, lines: list[Json], data: list[Json], closed: dict[int, str], base: str) -> Json:
    account = row["account_id"]
    here = f"/accounts/{account}"
    links = {
        "self": here,
        "transactions": f"{here}/transactions{_PAGED}",
        "operations": f"{here}/operations{_PAGED}",
        "payments": f"{here}/payments{_PAGED}",
        "effects": f"{here}/effects{_PAGED}",
        "offers": f"{here}/offers{_PAGED}",
        "trades": f"{here}/trades{_PAGED}",
        "data": f"{here}/data/{{key}}",
    }
    signers = [
        {"weight": each["weight"], "key": each["key"], "type": _SIGNERS[each["key"][0]]}
        | _given(sponsor=each["sponsor"])
        for each in row["signers"]
    ]
    master = {"weight": row["master_weight"], "key": account, "type": "ed25519_public_key"}
    if row["master_weight"]:
        signers.append(master)
    signers.sort(key=lambda each: str(each["key"]))
    if not row["master_weight"]:
        signers.append(master)
    touched = row["sequence_ledger"] is not None
    lines = sorted(
        lines, key=lambda line: [line[name] or "" for name in ("asset_code", "asset_issuer", "liquidity_pool_id")]
    )
    return (
        {
            "_links": {name: _link(base, path) for name, path in links.items()},
            "id": account,
            "account_id": account,
            "sequence": str(row["sequence_number"]),
            "subentry_count": row["num_subentries"],
            "thresholds": {
                "low_threshold": row["threshold_low"],
                "med_threshold": row["threshold_medium"],
                "high_threshold": row["threshold_high"],
            },
            "flags": _flags(row["flags"]),
            "balances": [*map(_trust_line, lines), _native(row)],
            "signers": signers,
            "data": {each["name_text"]: each["value_base64"] for each in data},
            "num_sponsoring": row["num_sponsoring"],
            "num_sponsored": row["num_sponsored"],
            "paging_token": account,
        }
        | _given(
            sequence_ledger=row["sequence_ledger"] if touched else None,
            sequence_time=str(row["sequence_time"]) if touched else None,
            inflation_destination=row["inflation_destination"],
            home_domain=row["home_domain_text"],
            sponsor=row["sponsor"],
        )
        | _last_modified(row, closed)
    )


def _native(row: Json) -> Json:
    return {
        "balance": amount(row["balance"]),
        "buying_liabilities": amount(row["buying_liabilities"]),
        "selling_liabilities": amount(row["selling_liabilities"]),
        "asset_type": "native",
    }


def _trust_line(row: Json) -> Json:
    common = {
        "balance": amount(row["balance"]),
        "limit": amount(row["trust_line_limit"]),
        "last_modified_ledger": row["last_modified_ledger"],
        "is_authorized": row["flags"] & 1 == 1,
        "is_authorized_to_maintain_liabilities": row["flags"] & 3 != 0,
    } | _given(is_clawback_enabled=row["flags"] & 4 == 4 or None)
    if row["liquidity_pool_id"]:
        return common | {"asset_type": "liquidity_pool_shares", "liquidity_pool_id": row["liquidity_pool_id"]}
    return (
        common
        | {
            "buying_liabilities": amount(row["buying_liabilities"]),
            "selling_liabilities": amount(row["selling_liabilities"]),
        }
        | _given(sponsor=row["sponsor"])
        | _asset(row, "")
    )


def _offer(row: Json, closed: dict[int, str], base: str) -> Json:
    n, d = row["price_n"], row["price_d"]
    scaled = Fraction(n * 10**7, d)
    whole = (scaled.numerator * 2 + scaled.denominator) // (scaled.denominator * 2)  # halves go up
    return {
        "_links": {
            "self": _link(base, f"/offers/{row['offer_id']}"),
            "offer_maker": _link(base, f"/accounts/{row['seller_id']}"),
        },
        "id": str(row["offer_id"]),
        "paging_token": str(row["offer_id"]),
        "seller": row["seller_id"],
        "selling": _asset(row, "selling_"),
        "buying": _asset(row, "buying_"),
        "amount": amount(row["amount"]),
        "price_r": {"n": n, "d": d},
        "price": amount(whole),
        **_last_modified(row, closed),
        **_given(sponsor=row["sponsor"]),
    }


def _balance(row: Json, closed: dict[int, str], base: str) -> Json:
    here = f"/claimable_balances/{row['balance_id']}"
    return {
        "_links": {
            "self": _link(base, here),
            "transactions": _link(base, f"{here}/transactions{_PAGED}"),
            "operations": _link(base, f"{here}/operations{_PAGED}"),
        },
        "id": row["balance_id"],
        "asset": _canonical(row, ""),
        "amount": amount(row["amount"]),
        "claimants": [
            {"destination": each["destination"], "predicate": _predicate(each["predicate"])}
            for each in row["claimants_json"]
        ],
        "flags": {"clawback_enabled": row["flags"] & 1 == 1},
        "paging_token": f"{row['last_modified_ledger']}-{row['balance_id']}",
        **_last_modified(row, closed),
        **_given(sponsor=row["sponsor"]),
    }


def _predicate(predicate: Json) -> Json:
    """Puts beside each absolute time its text."""
    (name, value), *_ = predicate.items()
    if name == "abs_before_epoch":
        return predicate | {"abs_before": _instant(int(value))}
    if name == "not":
        return {name: _predicate(value)}
    return {name: [_predicate(part) for part in value]} if isinstance(value, list) else predicate


def _instant(seconds: int) -> str:
    """Writes a time; the calendar repeats itself every 400 years, which carries Python's over its end."""
    cycles, rest = divmod(seconds, _CYCLE)
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=rest)
    year = moment.year + cycles * 400
    return f"{'+' if year > 9999 else ''}{year}{moment:-%m-%dT%H:%M:%SZ}"


def _pool(row: Json, closed: dict[int, str], base: str) -> Json:
    here = f"/liquidity_pools/{row['pool_id']}"
    return {
        "_links": {
            "self": _link(base, here),
            "transactions": _link(base, f"{here}/transactions{_PAGED}"),
            "operations": _link(base, f"{here}/operations{_PAGED}"),
        },
        "id": row["pool_id"],
        "paging_token": row["pool_id"],
        "fee_bp": row["fee"],
        "type": "constant_product",
        "total_trustlines": str(row["trustline_count"]),
        "total_shares": amount(row["total_shares"]),
        "reserves": [{"asset": _canonical(row, f"{side}_"), "amount": amount(row[f"reserve_{side}"])} for side in "ab"],
        **_last_modified(row, closed),
    }


def _assets(rows: dict[str, list[Json]], contracts: Iterable[Json]) -> dict[str, Json]:
    """Statistics as Horizon defines them: trust lines by their flags, claimable balances, reserves of pools."""
    issuers = {row["account_id"]: row for row in rows["account"]}
    documents: dict[str, Json] = {}
    counts: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    sums: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))

    def add(row: Json, prefix: str, holder: str, stroops: int, holders: int = 1) -> Json:
        asset = _asset(row, prefix)
        if asset["asset_type"] in {"native", "liquidity_pool_shares"}:
            return asset
        token = f"{asset['asset_code']}_{asset['asset_issuer']}_{asset['asset_type']}"
        counts[token][holder] += holders
        sums[token][holder] += stroops
        return documents.setdefault(token, asset)

    for row in rows["trust_line"]:
        if row["liquidity_pool_id"] is None:
            holder = _HELD[0] if row["flags"] & 1 else _HELD[1] if row["flags"] & 2 else _HELD[2]
            add(row, "", holder, row["balance"])
    for row in rows["claimable_balance"]:
        add(row, "", "claimable_balances", row["amount"])
    for row in rows["liquidity_pool"]:
        add(row, "a_", "liquidity_pools", row["reserve_a"])
        add(row, "b_", "liquidity_pools", row["reserve_b"])
    for row in contracts:
        add(row, "", "contracts", row["balance"], row["holders"])["contract_id"] = row["contract_id"]
    for token, asset in documents.items():
        issuer = issuers.get(asset["asset_issuer"], {"flags": 0, "home_domain_text": ""})
        domain = issuer["home_domain_text"]
        asset |= {
            "_links": {"toml": {"href": f"https://{domain}/.well-known/stellar.toml" if domain else ""}},
            "paging_token": token,
            "num_claimable_balances": counts[token]["claimable_balances"],
            "num_liquidity_pools": counts[token]["liquidity_pools"],
            "num_contracts": counts[token]["contracts"],
            "accounts": {holder: counts[token][holder] for holder in _HELD},
            "claimable_balances_amount": amount(sums[token]["claimable_balances"]),
            "liquidity_pools_amount": amount(sums[token]["liquidity_pools"]),
            "contracts_amount": amount(sums[token]["contracts"]),
            "balances": {holder: amount(sums[token][holder]) for holder in _HELD},
            "flags": _flags(issuer["flags"]),
        }
    return documents
