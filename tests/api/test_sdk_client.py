"""The real, unmodified Python client, `stellar_sdk.Server`, against every address of the service."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from typing import Any

import pytest
from stellar_sdk import Asset, Server, TransactionBuilder
from stellar_sdk.call_builder.call_builder_sync.base_call_builder import BaseCallBuilder
from stellar_sdk.exceptions import BadRequestError, NotFoundError

import closed_network
from api.conftest import CHECKPOINT, HISTORY
from api.horizon_documents import HorizonDocuments, amount
from api.paged_client import Json

NOBODY = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7"
PATH_FIELDS = {"source_amount", "destination_amount", "path"}


@pytest.fixture
def server(state_service: str) -> Iterator[Server]:
    with Server(state_service) as opened:
        yield opened


def every(builder: BaseCallBuilder, limit: int = 20) -> list[Json]:
    """Pages through a collection to its end, and back to its beginning."""

    def rest(page: Json) -> Iterator[Json]:
        while page["_embedded"]["records"]:
            assert len(page["_embedded"]["records"]) <= limit
            yield from page["_embedded"]["records"]
            page = builder.next()

    found = list(rest(builder.limit(limit).call()))
    assert list(rest(builder.prev())) == found[-2::-1]  # the cursor stands on the last one
    return found


def asset_of(document: Json) -> Asset:
    if document["asset_type"] == "native":
        return Asset.native()
    return Asset(document["asset_code"], document["asset_issuer"])


def test_the_root_and_the_ledgers(server: Server) -> None:
    root = server.root().call()
    assert root["network_passphrase"] == closed_network.NETWORK.passphrase
    assert root["ingest_latest_ledger"] == CHECKPOINT
    ledgers = every(server.ledgers())
    assert [ledger["sequence"] for ledger in ledgers] == list(range(2, HISTORY + 1))
    assert server.ledgers().ledger(70).call() == ledgers[70 - 2]
    assert server.fetch_base_fee() == ledgers[-1]["base_fee_in_stroops"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # stellar-sdk warns of operations that it reads itself
def test_transactions(server: Server) -> None:
    found = every(server.transactions().include_failed(True), limit=100)
    assert any(not each["successful"] for each in found)
    assert any("fee_bump_transaction" in each for each in found)
    for each in found:
        envelope = TransactionBuilder.from_xdr(each["envelope_xdr"], closed_network.NETWORK.passphrase)
        assert envelope.hash_hex() == each["hash"]
    one = found[len(found) // 2]
    assert server.transactions().transaction(one["hash"]).call() == one
    of_ledger = every(server.transactions().for_ledger(one["ledger"]).include_failed(True))
    assert of_ledger == [each for each in found if each["ledger"] == one["ledger"]]
    assert every(server.transactions(), limit=200) == [each for each in found if each["successful"]]


def test_accounts(server: Server, expected: HorizonDocuments) -> None:
    accounts = expected.accounts
    sponsor = next(each["sponsor"] for each in accounts.values() if "sponsor" in each)
    assert sponsor in {each.get("sponsor") for each in every(server.accounts().for_sponsor(sponsor), 2)}
    for issued in {(each["asset_code"], each["asset_issuer"]) for each in expected.assets.values()}:
        held = every(server.accounts().for_asset(Asset(*issued)), 7)
        assert held
        for each in held:
            assert issued in {(line.get("asset_code"), line.get("asset_issuer")) for line in each["balances"]}
    for pool in expected.liquidity_pools:
        shares = every(server.accounts().for_liquidity_pool(pool), 7)
        assert len(shares) == int(expected.liquidity_pools[pool]["total_trustlines"])
    chosen = max(accounts.values(), key=lambda each: len(each["signers"]))
    for signer in chosen["signers"]:
        if signer["type"] == "ed25519_public_key" and signer["weight"]:
            assert chosen in every(server.accounts().for_signer(signer["key"]))
    loaded = server.load_account(chosen["id"])
    assert loaded.sequence == int(chosen["sequence"])
    assert loaded.raw_data == chosen
    with_data = next(each for each in accounts.values() if each["data"])
    name, value = next(iter(with_data["data"].items()))
    assert server.data(with_data["id"], name).call() == {"value": value}


def test_offers(server: Server, expected: HorizonDocuments) -> None:
    offers = every(server.offers(), 9)
    assert offers == [expected.offers[offer] for offer in sorted(expected.offers)]
    for each in (offers[0], offers[-1]):
        assert server.offers().offer(each["id"]).call() == each
        assert each in every(server.offers().for_account(each["seller"]))
        assert each in every(server.offers().for_seller(each["seller"]), 2)
        pair = server.offers().for_selling(asset_of(each["selling"])).for_buying(asset_of(each["buying"]))
        assert each in every(pair, 3)
    sponsored = next(each for each in offers if "sponsor" in each)
    assert sponsored in every(server.offers().for_sponsor(sponsored["sponsor"]))


def test_assets(server: Server, expected: HorizonDocuments) -> None:
    found = every(server.assets(), 3)
    assert {each["paging_token"]: each for each in found} == expected.assets
    one = found[1]
    assert every(server.assets().for_code(one["asset_code"]).for_issuer(one["asset_issuer"])) == [one]


def test_claimable_balances(server: Server, expected: HorizonDocuments) -> None:
    found = every(server.claimable_balances(), 2)
    assert {each["id"]: each for each in found} == expected.claimable_balances
    for each in found:
        assert server.claimable_balances().claimable_balance(each["id"]).call() == each
        assert each in every(server.claimable_balances().for_claimant(each["claimants"][0]["destination"]))
        assert each in every(server.claimable_balances().for_sponsor(each["sponsor"]))
        code, _, issuer = each["asset"].partition(":")
        asset = Asset(code, issuer) if issuer else Asset.native()
        assert each in every(server.claimable_balances().for_asset(asset))


def test_liquidity_pools(server: Server, expected: HorizonDocuments) -> None:
    found = every(server.liquidity_pools(), 2)
    assert {each["id"]: each for each in found} == expected.liquidity_pools
    for each in found:
        assert server.liquidity_pools().liquidity_pool(each["id"]).call() == each
        reserves = [
            Asset.native() if reserve["asset"] == "native" else Asset(*reserve["asset"].split(":"))
            for reserve in each["reserves"]
        ]
        assert every(server.liquidity_pools().for_reserves(reserves)) == [each]
        assert each in every(server.liquidity_pools().for_reserves(reserves[1:]), 1)
    taking_part = next(iter(server.accounts().for_liquidity_pool(found[0]["id"]).call()["_embedded"]["records"]))
    assert found[0] in every(server.liquidity_pools().for_account(taking_part["id"]), 1)


def test_the_order_book(server: Server, expected: HorizonDocuments) -> None:
    pairs = Counter((asset_of(each["selling"]), asset_of(each["buying"])) for each in expected.offers.values())
    assert len(pairs) > 3
    for base, counter in pairs:
        book = server.orderbook(base, counter).limit(200).call()
        assert (asset_of(book["base"]), asset_of(book["counter"])) == (base, counter)
        assert _levels(book["asks"]) == _added_up(expected, base, counter)
        inverted = {1 / price: held for price, held in _added_up(expected, counter, base).items()}
        assert _levels(book["bids"]) == inverted
        for side, sign in (("asks", 1), ("bids", -1)):
            prices = [sign * Fraction(each["price_r"]["n"], each["price_r"]["d"]) for each in book[side]]
            assert prices == sorted(prices)


def test_paths(server: Server, expected: HorizonDocuments) -> None:
    base, counter = max(
        ((asset_of(each["selling"]), asset_of(each["buying"])) for each in expected.offers.values()),
        key=lambda pair: len(_added_up(expected, *pair)),
    )
    sent = server.strict_send_paths(counter, "5", [base]).call()["_embedded"]["records"]
    assert sent
    arrived = sent[0]["destination_amount"]
    received = server.strict_receive_paths([counter], base, arrived).call()["_embedded"]["records"]
    for path in (*sent, *received):
        assert set(path) >= PATH_FIELDS
        assert _end(path, "source") == counter
        assert _end(path, "destination") == base
        assert all(asset_of(hop).type for hop in path["path"])
    assert sent[0]["source_amount"] == "5.0000000"
    assert min(Fraction(path["source_amount"]) for path in received) <= 5
    payer = next(each["id"] for each in expected.accounts.values() if Fraction(each["balances"][-1]["balance"]) > 1000)
    by_account = server.strict_receive_paths(payer, base, "0.001").call()["_embedded"]["records"]
    assert all(_end(path, "destination") == base for path in by_account)
    to_account = server.strict_send_paths(counter, "0.01", payer).call()["_embedded"]["records"]
    assert all(_end(path, "source") == counter for path in to_account)


def test_ledgers_are_streamed(server: Server) -> None:
    begin = HISTORY - 15
    with closing(server.ledgers().cursor(str((begin + 1 << 32) - 1)).stream()) as events:
        found = list(itertools.islice(events, 13))  # more than one page of ten: the client comes back in between
    assert [event["sequence"] for event in found] == list(range(begin + 1, begin + 14))
    assert found[0] == server.ledgers().ledger(begin + 1).call()


def test_documents_are_streamed(server: Server, expected: HorizonDocuments) -> None:
    seller = next(iter(expected.offers.values()))["seller"]
    for builder, first in (
        (server.accounts().account_id(seller), expected.accounts[seller]),
        (server.offers().for_account(seller), server.offers().for_seller(seller).call()["_embedded"]["records"][0]),
    ):
        with closing(builder.stream()) as events:
            assert next(events) == first


def test_problem_documents(server: Server) -> None:
    for builder in (
        server.accounts().account_id(NOBODY),
        server.data(NOBODY, "name"),
        server.offers().offer(2**40),
        server.claimable_balances().claimable_balance("00000000" + "ab" * 32),
        server.liquidity_pools().liquidity_pool("ab" * 32),
        server.ledgers().ledger(CHECKPOINT + 1),
        server.transactions().transaction("ab" * 32),
    ):
        with pytest.raises(NotFoundError) as missing:
            builder.call()
        assert (missing.value.status, missing.value.title) == (404, "Resource Missing")
        assert missing.value.type == "https://stellar.org/horizon-errors/not_found"
    refused: list[tuple[BaseCallBuilder, str]] = [
        (server.accounts().account_id("GABC"), "account_id"),
        (server.accounts().for_signer("nonsense"), "signer"),
        (server.accounts().for_asset(Asset.native()), "asset"),
        (server.offers().cursor("-1"), "cursor"),
        (server.offers().limit(201), "limit"),
        (server.assets().for_code("no code"), "asset_code"),
        (server.assets().cursor("USD"), "cursor"),
        (server.claimable_balances().cursor("7"), "cursor"),
        (server.claimable_balances().claimable_balance("00"), "id"),
        (server.liquidity_pools().liquidity_pool("zz"), "liquidity_pool_id"),
        (server.liquidity_pools().cursor("zz"), "cursor"),
        (server.strict_send_paths(Asset.native(), "-1", [Asset.native()]), "source_amount"),
    ]
    for builder, field in refused:
        with pytest.raises(BadRequestError) as bad:
            builder.call()
        assert bad.value.type == "https://stellar.org/horizon-errors/bad_request"
        assert bad.value.status == 400
        assert bad.value.extras["invalid_field"] == field
        assert bad.value.extras["reason"]
    with pytest.raises(BadRequestError) as several:
        server.accounts().for_signer(NOBODY).for_sponsor(NOBODY).call()
    assert several.value.type.endswith("/invalid_accounts_params")


def _levels(side: list[Json]) -> dict[Fraction, str]:
    return {Fraction(each["price_r"]["n"], each["price_r"]["d"]): each["amount"] for each in side}


def _added_up(expected: HorizonDocuments, selling: Asset, buying: Asset) -> dict[Fraction, str]:
    """Returns the amounts of a pair's offers by price."""
    sums: dict[Fraction, Any] = {}
    for each in expected.offers.values():
        if (asset_of(each["selling"]), asset_of(each["buying"])) == (selling, buying):
            price = Fraction(each["price_r"]["n"], each["price_r"]["d"])
            sums[price] = sums.get(price, 0) + int(Fraction(each["amount"]) * 10**7)
    return {price: amount(stroops) for price, stroops in sums.items()}


def _end(path: Json, side: str) -> Asset:
    return asset_of({name.removeprefix(f"{side}_"): value for name, value in path.items() if name.startswith(side)})
