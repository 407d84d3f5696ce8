from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aurora_ingest.errors import StateError, UsageError
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.graph import Level, OrderBookGraph
from aurora_ingest.orderbook.path_search import PaymentPath, SearchLimits, find_strict_receive, find_strict_send
from orderbook.order_books import (
    OTHER,
    asset,
    offer_rows,
    offers_of_scenario,
    offers_of_vector,
    read_json,
)

pytestmark = pytest.mark.shared_data

NATIVE, EUR = asset("native"), asset("eur")


@pytest.fixture(scope="module")
def vectors(shared_data: Path) -> dict[str, Any]:
    return read_json(shared_data / "public/vectors/orderbook-paths.json")


def _every(hops: int) -> SearchLimits:
    return SearchLimits(max_hops=hops, every=True)


def _cost(graph: OrderBookGraph, wanted: Asset, amount: int, paid_with: Asset, payer: str | None = None) -> int | None:
    found = find_strict_receive(graph, wanted, amount, [paid_with], source_account=payer, limits=_every(1))
    return found[0].source_amount if found else None


def _proceeds(graph: OrderBookGraph, spent: Asset, amount: int, wanted: Asset, payer: str | None) -> int | None:
    found = find_strict_send(graph, spent, amount, [wanted], source_account=payer, limits=_every(1))
    return found[0].destination_amount if found else None


@pytest.mark.parametrize("side", ["selling", "buying"])
def test_offers_are_consumed_as_the_original_did(vectors: dict[str, Any], side: str) -> None:
    for case in vectors[f"consume_for_{side}_asset"]["cases"]:
        expected, offers = case["expected"], offers_of_vector(case["offers"])
        if "denominator" in case["desc"]:
            with pytest.raises(StateError, match="price and amount must be positive"):
                OrderBookGraph(1, offer_rows(offers))
            continue
        graph = OrderBookGraph(1, offer_rows(offers))
        payer = case["ignore_seller"]
        if case["amount"] == 0:
            with pytest.raises(UsageError, match="amount of 0 stroops"):
                _cost(graph, NATIVE, 0, EUR)
            continue
        paid = offers[0].buying if offers else EUR
        got = (
            _cost(graph, NATIVE, case["amount"], paid, payer)
            if side == "selling"
            else _proceeds(graph, paid, case["amount"], NATIVE, payer)
        )
        # An error of the original about no offers, and its -1, both mean: no such exchange.
        assert got == (expected if isinstance(expected, int) and expected > 0 else None), case["desc"]


def _shape(path: PaymentPath) -> tuple[str, int, str, int, int]:
    source, destination = (one.code or "native" for one in (path.source_asset, path.destination_asset))
    return source, path.source_amount, destination, path.destination_amount, len(path.path)


def test_the_originals_path_queries_get_its_answers(vectors: dict[str, Any]) -> None:
    graph = OrderBookGraph(1, offer_rows(offers_of_vector(vectors["graph"]["offers"])))
    for query in vectors["graph"]["queries"]:
        if query["kind"] == "strict_receive":
            code, amount = query["destination"]
            balances = {asset(source): balance for source, balance in query["sources"]}
            found = find_strict_receive(
                graph, asset(code), amount, balances, source_account=OTHER, limits=_every(query["max_path_length"])
            )
        else:
            code, amount = query["source"]
            found = find_strict_send(
                graph, asset(code), amount, [asset(query["destination"])], limits=_every(query["max_path_length"])
            )
        expected = [
            (
                row["source_asset"],
                row["source_amount"],
                row["destination_asset"],
                row["destination_amount"],
                row["hops"],
            )
            for row in query["expected"]
        ]
        assert list(map(_shape, found)) == expected


@pytest.mark.parametrize(
    "hops,expected",
    [
        (3, [("usd", 5, []), ("usd", 7, ["eur"]), ("yen", 5, ["chf", "eur"])]),
        (4, [("usd", 5, []), ("usd", 7, ["eur"]), ("yen", 2, ["chf", "eur", "usd"]), ("yen", 5, ["chf", "eur"])]),
    ],
)
def test_interior_assets_stand_from_source_to_destination(
    vectors: dict[str, Any], hops: int, expected: list[tuple[str, int, list[str]]]
) -> None:
    graph = OrderBookGraph(1, offer_rows(offers_of_vector(vectors["graph"]["offers"])))
    found = find_strict_receive(
        graph, NATIVE, 20, {asset("yen"): 100_000, asset("usd"): 60_000}, source_account=OTHER, limits=_every(hops)
    )
    assert [(path.source_asset.code, path.source_amount, [one.code for one in path.path]) for path in found] == expected


@pytest.fixture(scope="module")
def scenarios(shared_data: Path) -> Path:
    return shared_data / "public/diamante-block-go/scenarios"


def test_scenario_paths(vectors: dict[str, Any], scenarios: Path) -> None:
    vector = vectors["scenario_paths"]
    graph = OrderBookGraph(5, offer_rows(offers_of_scenario(scenarios / "paths.json.zst")))
    for query in vector["strict_receive"]:
        code, amount = query["destination"]
        sources = [asset(source, vector["issuer"]) for source in query["sources"]]
        found = find_strict_receive(graph, asset(code, vector["issuer"]), amount, sources, limits=_every(5))
        if "expected_count" in query:
            assert len(found) == query["expected_count"]
        else:
            expected = [(row["source_amount"], row["path"]) for row in query["expected"]]
            assert [(path.source_amount, [one.code for one in path.path]) for path in found] == expected
    for cost in vector["cost_to_buy_EUR_with_USD"]:
        eur, usd = (asset(code, vector["issuer"]) for code in ("EUR", "USD"))
        assert _cost(graph, eur, cost["eur"], usd) == cost["usd"]


def test_scenario_bad_cost(vectors: dict[str, Any], scenarios: Path) -> None:
    vector = vectors["scenario_bad_cost"]
    graph = OrderBookGraph(5, offer_rows(offers_of_scenario(scenarios / "bad_cost.json.zst")))
    for cost in vector["cost_to_buy_EUR_with_USD"]:
        eur, usd = (asset(code, vector["issuer"]) for code in ("EUR", "USD"))
        assert _cost(graph, eur, cost["eur"], usd) == cost["usd"]


def test_scenario_order_books(vectors: dict[str, Any], scenarios: Path) -> None:
    vector = vectors["scenario_order_books_summary"]
    offers = offers_of_scenario(scenarios / "order_books.json.zst")
    graph = OrderBookGraph(5, offer_rows(offers))
    base, counter = asset(*vector["selling"]), asset(vector["buying"])
    asks = [Level(*ask["price"], ask["amount"], 1) for ask in vector["asks"]]
    assert [Level(level.n, level.d, level.amount, 1) for level in graph.levels(base, counter, 3)] == asks
    # Bids sell the counter asset; the peer shows their price the other way round, its amounts in the counter asset.
    bids = [(bid["price"][1], bid["price"][0], bid["amount"]) for bid in vector["bids"]]
    assert [(level.n, level.d, level.amount) for level in graph.levels(counter, base, 3)] == bids
