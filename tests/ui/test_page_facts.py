from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa

from api.served import served
from aurora_ingest.api.ui.remembered import Remembered
from aurora_ingest.db.order_book import read_order_book
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.amount import units
from aurora_ingest.orderbook.graph import OrderBookGraph

_SVG = "http://www.w3.org/2000/svg"
BTC = "BTC:GBNRJMDOE56BENF4H7C3HUCZCXTXY3YAGMB4LOPJIPNBKTLBDPSRLJDQ"


@pytest.fixture(scope="module")
def page(followed: sa.Engine) -> Iterator[str]:
    with served(str(followed.url)) as address:
        yield f"{address}/ui"


def _get(address: str, **parameters: object) -> requests.Response:
    return requests.get(address, params={name: str(value) for name, value in parameters.items()}, timeout=60)


def test_files_come_with_a_policy_and_are_kept(page: str) -> None:
    for name in ("", "main.js", "page.css", "mark.svg"):
        first = _get(f"{page}/{name}")
        assert first.status_code == 200
        policy = first.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        again = requests.get(f"{page}/{name}", headers={"If-None-Match": first.headers["ETag"]}, timeout=60)
        assert (again.status_code, again.content) == (304, b"")
    without_slash = requests.get(page, timeout=60)
    assert without_slash.url == f"{page}/"
    for name in ("nothing.js", "..%2fdata.py", "%2e%2e/__init__.py"):
        assert _get(f"{page}/{name}").status_code == 404


def test_no_file_names_another_host_or_makes_html_of_text() -> None:
    for each in resources.files("aurora_ingest.api.ui").joinpath("static").iterdir():
        text = each.read_text()
        assert set(re.findall(r"\bhttps?://[^\s\"')]*|[\"'(]//\w[^\s\"')]*", text)) <= {_SVG}, each.name
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in text, each.name


def test_every_file_of_the_page_is_package_data() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert '"api/ui/static/*"' in pyproject
    for each in resources.files("aurora_ingest.api.ui").joinpath("static").iterdir():
        assert each.is_file(), "a folder would be missing from the wheel"


def test_commits_are_given_from_a_ledger_on(page: str) -> None:
    everything = _get(f"{page}/data/commits").json()["commits"]
    assert [commit["ledger"] for commit in everything] == list(range(64, 81))
    assert [commit["committed_at"] for commit in everything] == sorted(commit["committed_at"] for commit in everything)
    assert _get(f"{page}/data/commits", after=78).json()["commits"] == everything[-2:]
    assert _get(f"{page}/data/commits", limit=1).json()["commits"] == everything[-1:]


def test_pairs_are_those_of_the_offers_and_pools(page: str, followed: sa.Engine) -> None:
    rows = read_order_book(followed)
    sides = zip(*(rows.offers.column(name).to_pylist() for name in ("selling_asset", "buying_asset")), strict=True)
    expected: dict[frozenset[str], int] = {}
    for side in sides:
        pair = frozenset(str(Asset.of_key(key)) for key in side)
        expected[pair] = expected.get(pair, 0) + 1
    found = _get(f"{page}/data/pairs", limit=200).json()
    offered = {frozenset((pair["base"], pair["counter"])): pair["asks"] + pair["bids"] for pair in found["pairs"]}
    assert {pair: offers for pair, offers in offered.items() if offers} == expected
    reserves = map(json.loads, rows.liquidity_pools.column("asset_reserves").to_pylist())
    filled = [
        frozenset(str(Asset.of_key(side["asset"])) for side in pool) for pool in reserves if int(pool[0]["reserve"])
    ]
    assert {frozenset((pair["base"], pair["counter"])) for pair in found["pairs"] if pair["pool"]} == set(filled)
    counts = [pair["asks"] + pair["bids"] for pair in found["pairs"]]
    assert counts == sorted(counts, reverse=True)
    by_code = _get(f"{page}/data/pairs", search="btc / xlm").json()
    assert [(pair["base"], pair["counter"]) for pair in by_code["pairs"]] == [("native", BTC)]
    assert _get(f"{page}/data/pairs", search="no such asset").json()["found"] == 0
    assert [each["asset"] for each in _get(f"{page}/data/assets", search="gbnrjm").json()["assets"]] == [BTC]


def test_the_history_of_a_pair_ends_with_the_book_as_it_is(page: str, followed: sa.Engine) -> None:
    rows = read_order_book(followed)
    graph = OrderBookGraph(rows.ledger, rows.offers, rows.liquidity_pools)
    asks = graph.levels(Asset.parse("native"), Asset.parse(BTC))
    history = _get(f"{page}/data/order_book_history", base=BTC, counter="native").json()
    assert (history["base"], history["counter"]) == ("native", BTC)
    assert history["kept"] == {"first": 64, "last": 80}
    assert history["books"][-1]["asks"] == [
        {"price_r": {"n": level.n, "d": level.d}, "amount": units(level.amount)} for level in asks
    ]
    newest = history["books"][-1]["ledger"]
    later = _get(f"{page}/data/order_book_history", base=BTC, counter="native", after=newest)
    assert later.json()["books"] == []
    assert later.headers["Latest-Ledger"] == "80"


@pytest.mark.parametrize(
    "path,parameters,field",
    [
        ("order_book_history", {"base": "native", "counter": "native"}, "counter"),
        ("order_book_history", {"base": "BTC", "counter": "native"}, "base"),
        ("order_book_history", {"base": "native"}, "counter"),
        ("pairs", {"limit": 1000}, "limit"),
        ("pairs", {"search": "x" * 500}, "search"),
        ("commits", {"after": -1}, "after"),
    ],
)
def test_bad_questions_are_refused_by_name(page: str, path: str, parameters: dict[str, object], field: str) -> None:
    answer = _get(f"{page}/data/{path}", **parameters)
    assert answer.status_code == 400
    assert answer.json()["extras"]["invalid_field"] == field


def test_an_answer_is_asked_for_once_while_it_is_good() -> None:
    asked: list[int] = []

    def ask() -> int:
        asked.append(1)
        return len(asked)

    lasting = Remembered[int](60.0)
    assert [lasting.get(ask) for _ in range(3)] == [1, 1, 1]
    fleeting = Remembered[int](0.0)
    assert [fleeting.get(ask) for _ in range(2)] == [2, 3]


def test_while_one_asks_others_get_the_answer_before_and_failures_are_not_kept() -> None:
    remembered = Remembered[str](0.0)
    assert remembered.get(lambda: "before") == "before"
    inside, go_on = threading.Event(), threading.Event()

    def slowly() -> str:
        inside.set()
        assert go_on.wait(60)
        return "after"

    thread = threading.Thread(target=lambda: remembered.get(slowly))
    thread.start()
    assert inside.wait(60)
    assert remembered.get(lambda: "never asked") == "before"
    go_on.set()
    thread.join()

    def fails() -> str:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        remembered.get(fails)
    assert remembered.get(lambda: "again") == "again"
