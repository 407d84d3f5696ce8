from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.graph import OrderBookGraph
from aurora_ingest.orderbook.path_search import PaymentPath, SearchLimits, find_strict_receive, find_strict_send
from orderbook.order_books import offer_rows, offers_of_xdr, pool_rows, pools_of_xdr, read_json

pytestmark = pytest.mark.shared_data


def _named(asset: Asset) -> str:
    return "native" if asset.kind == "native" else f"{asset.kind}/{asset.code}/{asset.issuer}"


def _row(path: PaymentPath) -> dict[str, Any]:
    return {
        "source_asset": _named(path.source_asset),
        "source_amount": path.source_amount,
        "destination_asset": _named(path.destination_asset),
        "destination_amount": path.destination_amount,
        "path": [_named(asset) for asset in path.path],
    }


def _answer(graph: OrderBookGraph, query: dict[str, Any]) -> list[dict[str, Any]]:
    sources, destinations = (
        [Asset.parse(text) for text in query[f"{side}_assets"]] for side in ("source", "destination")
    )
    limits = SearchLimits(max_hops=query["max_path_length"], paths_per_asset=query["max_paths_per_asset"])
    if query["kind"] == "strict_receive":
        found = find_strict_receive(graph, destinations[0], query["amount"], sources, limits=limits)
    else:
        found = find_strict_send(graph, sources[0], query["amount"], destinations, limits=limits)
    return [_row(path) for path in found]


def test_pubnet_paths_are_those_of_the_go_graph(shared_data: Path) -> None:
    folder = shared_data / "public/derived"
    cases = read_json(folder / "pubnet-paths-12001023.json.zst")["results"]
    graph = OrderBookGraph(12_001_023, offer_rows(offers_of_xdr(folder / "pubnet-offers-12001023.txt.zst")))
    assert len(cases) == 219
    for case in cases:
        assert _answer(graph, case["query"]) == case["paths"]


@pytest.mark.slow
def test_paths_over_a_large_book_are_those_of_the_go_graph(shared_data: Path) -> None:
    folder = shared_data / "derived-synthetic"
    offers = offer_rows(offers_of_xdr(folder / "offers-200k.txt.zst"))
    pools = pool_rows(pools_of_xdr(folder / "pools-2k.txt.zst"))
    for graph, answers in (
        (OrderBookGraph(1, offers), "answers-offers.json.zst"),
        (OrderBookGraph(1, offers, pools), "answers-pools.json.zst"),
    ):
        cases = read_json(folder / answers)
        assert len(cases) == 200
        for case in cases:
            assert _answer(graph, case["query"]) == case["paths"]
