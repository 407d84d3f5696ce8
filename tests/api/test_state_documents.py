"""Every document of the state is Horizon's, field by field, and every filter finds what it has to, in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from api.horizon_documents import HorizonDocuments
from api.paged_client import Json, get, records

ORDERS = ("asc", "desc")


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def test_every_account(state_service: str, expected: HorizonDocuments, session: requests.Session) -> None:
    assert len(expected.accounts) > 150
    for account, document in expected.accounts.items():
        assert get(session, f"{state_service}/accounts/{account}") == document


def test_every_data_entry(state_service: str, expected: HorizonDocuments, session: requests.Session) -> None:
    entries = [
        (account, *entry) for account, document in expected.accounts.items() for entry in document["data"].items()
    ]
    assert entries
    for account, name, value in entries:
        address = f"{state_service}/accounts/{account}/data/{requests.utils.quote(name, safe='')}"
        assert get(session, address) == {"value": value}


def test_every_offer(state_service: str, expected: HorizonDocuments, session: requests.Session) -> None:
    for offer_id, document in expected.offers.items():
        assert get(session, f"{state_service}/offers/{offer_id}") == document


def test_every_claimable_balance(state_service: str, expected: HorizonDocuments, session: requests.Session) -> None:
    for balance_id, document in expected.claimable_balances.items():
        assert get(session, f"{state_service}/claimable_balances/{balance_id}") == document


def test_every_liquidity_pool(state_service: str, expected: HorizonDocuments, session: requests.Session) -> None:
    for pool_id, document in expected.liquidity_pools.items():
        assert get(session, f"{state_service}/liquidity_pools/{pool_id}") == document


def test_times_are_told_where_history_has_the_ledger(expected: HorizonDocuments) -> None:
    times = [document["last_modified_time"] for document in expected.accounts.values()]
    assert None in times
    assert any(time is not None for time in times)


def test_accounts_by_filter(state_service: str, expected: HorizonDocuments, session: requests.Session) -> None:
    wanted = _filters_of(expected.accounts)
    masters = [key for key, accounts in wanted.items() if key[0] == "signer" and accounts == {key[1]}]
    for key in masters[5:]:  # they are alike
        del wanted[key]
    assert {name for name, _ in wanted} == {"signer", "sponsor", "asset", "liquidity_pool"}
    assert max(map(len, wanted.values())) > 20
    for (name, value), accounts in wanted.items():
        for order in ORDERS:
            ordered = sorted(accounts, reverse=order == "desc")
            found = records(session, f"{state_service}/accounts", {name: value, "order": order}, limit=7)
            assert found == [expected.accounts[account] for account in ordered], (name, value, order)


def test_offers_by_filter(state_service: str, expected: HorizonDocuments, session: requests.Session) -> None:
    ordered = [expected.offers[offer_id] for offer_id in sorted(expected.offers)]
    address = f"{state_service}/offers"
    _same_both_ways(session, address, {}, ordered, lambda _: True)
    seen: set[tuple[str, str]] = set()
    for each in ordered:
        selling, buying = _canonical(each["selling"]), _canonical(each["buying"])
        filters: list[tuple[Json, Callable[[Json], bool]]] = [
            ({"seller": each["seller"]}, lambda it, each=each: it["seller"] == each["seller"]),
            ({"selling": selling}, lambda it, each=each: it["selling"] == each["selling"]),
            ({"buying": buying}, lambda it, each=each: it["buying"] == each["buying"]),
            (
                {"selling": selling, "buying": buying},
                lambda it, each=each: (it["selling"], it["buying"]) == (each["selling"], each["buying"]),
            ),
            (
                {"seller": each["seller"], "selling": selling},
                lambda it, each=each: (it["seller"], it["selling"]) == (each["seller"], each["selling"]),
            ),
        ]
        if "sponsor" in each:
            filters.append(({"sponsor": each["sponsor"]}, lambda it, each=each: it.get("sponsor") == each["sponsor"]))
        for params, holds in filters:
            key = (str(sorted(params)), str(sorted(params.items())))
            if key not in seen:
                seen.add(key)
                _same_both_ways(session, address, params, ordered, holds)
    one = ordered[0]
    parts = {f"selling_{name}": value for name, value in one["selling"].items()}
    found = records(session, address, parts, limit=50)
    assert found == [each for each in ordered if each["selling"] == one["selling"]]


def test_offers_of_an_account(state_service: str, expected: HorizonDocuments, session: requests.Session) -> None:
    ordered = [expected.offers[offer_id] for offer_id in sorted(expected.offers)]
    for seller in {each["seller"] for each in ordered}:
        address = f"{state_service}/accounts/{seller}/offers"
        _same_both_ways(session, address, {}, ordered, lambda it, seller=seller: it["seller"] == seller)


def test_claimable_balances_by_filter(
    state_service: str, expected: HorizonDocuments, session: requests.Session
) -> None:
    ordered = sorted(expected.claimable_balances.values(), key=lambda each: (each["last_modified_ledger"], each["id"]))
    address = f"{state_service}/claimable_balances"
    _same_both_ways(session, address, {}, ordered, lambda _: True, limit=2)
    for each in ordered:
        claimant = each["claimants"][-1]["destination"]

        def is_claimed(it: Json, claimant: str = claimant) -> bool:
            return any(one["destination"] == claimant for one in it["claimants"])

        def has_asset(it: Json, each: Json = each) -> bool:
            return bool(it["asset"] == each["asset"])

        def is_sponsored(it: Json, each: Json = each) -> bool:
            return it.get("sponsor") == each["sponsor"]

        _same_both_ways(session, address, {"claimant": claimant}, ordered, is_claimed, limit=1)
        _same_both_ways(session, address, {"asset": each["asset"]}, ordered, has_asset, limit=1)
        _same_both_ways(session, address, {"sponsor": each["sponsor"]}, ordered, is_sponsored, limit=1)
        all_of = {"claimant": claimant, "asset": each["asset"], "sponsor": each["sponsor"]}
        _same_both_ways(
            session,
            address,
            all_of,
            ordered,
            lambda it, holds=(is_claimed, has_asset, is_sponsored): all(hold(it) for hold in holds),
        )


def test_liquidity_pools_by_filter(state_service: str, expected: HorizonDocuments, session: requests.Session) -> None:
    ordered = [expected.liquidity_pools[pool_id] for pool_id in sorted(expected.liquidity_pools)]
    address = f"{state_service}/liquidity_pools"
    _same_both_ways(session, address, {}, ordered, lambda _: True, limit=2)
    for each in ordered:
        first, second = (reserve["asset"] for reserve in each["reserves"])
        for reserves in (first, second, f"{first},{second}", f"{second},{first}"):
            wanted = set(reserves.split(","))
            _same_both_ways(
                session,
                address,
                {"reserves": reserves},
                ordered,
                lambda it, wanted=wanted: wanted <= {reserve["asset"] for reserve in it["reserves"]},
                limit=1,
            )
    for account, document in expected.accounts.items():
        pools = {balance.get("liquidity_pool_id") for balance in document["balances"]} - {None}
        if pools:
            _same_both_ways(
                session, address, {"account": account}, ordered, lambda it, pools=pools: it["id"] in pools, limit=2
            )


def test_assets(state_service: str, expected: HorizonDocuments, session: requests.Session) -> None:
    ordered = sorted(expected.assets.values(), key=lambda each: (each["asset_code"], each["asset_issuer"]))
    assert len(ordered) > 5
    address = f"{state_service}/assets"
    _same_both_ways(session, address, {}, ordered, lambda _: True, limit=2)
    for each in ordered:
        code, issuer = each["asset_code"], each["asset_issuer"]
        both = {"asset_code": code, "asset_issuer": issuer}
        _same_both_ways(session, address, both, ordered, lambda it, each=each: it is each)
        _same_both_ways(session, address, {"asset_code": code}, ordered, lambda it, code=code: it["asset_code"] == code)
        _same_both_ways(
            session, address, {"asset_issuer": issuer}, ordered, lambda it, issuer=issuer: it["asset_issuer"] == issuer
        )


def _filters_of(accounts: dict[str, Json]) -> dict[tuple[str, str], set[str]]:
    """Returns which accounts each filter has to find, by its name and value."""
    wanted: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for account, document in accounts.items():
        signers, balances = document["signers"], document["balances"]
        keys = [each["key"] for each in signers if each["weight"] and each["type"] == "ed25519_public_key"]
        sponsors = [each["sponsor"] for each in (document, *signers, *balances) if "sponsor" in each]
        assets = [f"{each['asset_code']}:{each['asset_issuer']}" for each in balances if "asset_code" in each]
        pools = [each["liquidity_pool_id"] for each in balances if "liquidity_pool_id" in each]
        for name, values in (("signer", keys), ("sponsor", sponsors), ("asset", assets), ("liquidity_pool", pools)):
            for value in values:
                wanted[name, value].add(account)
    return wanted


def _same_both_ways(
    session: requests.Session,
    address: str,
    params: Json,
    ordered: list[Json],
    holds: Callable[[Json], Any],
    limit: int = 11,
) -> None:
    """Pages through a collection in both directions."""
    wanted = [each for each in ordered if holds(each)]
    for order in ORDERS:
        found = records(session, address, params | {"order": order}, limit)
        assert found == (wanted if order == "asc" else wanted[::-1]), (params, order)


def _canonical(asset: Json) -> str:
    return "native" if asset["asset_type"] == "native" else f"{asset['asset_code']}:{asset['asset_issuer']}"
