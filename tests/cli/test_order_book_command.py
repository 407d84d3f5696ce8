"""The commands `find-paths` and `order-book` on our own network's state, in either database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from aurora_ingest import cli
from aurora_ingest.db.engine import connect
from aurora_ingest.db.order_book import read_order_book
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.amount import stroops, units
from aurora_ingest.orderbook.summary import price_text
from orderbook.order_books import Offer, Pool
from orderbook.plain_book import Book

_ARCHIVE = Path(__file__).parents[1] / "data" / "standalone-accel"
_BUILD = ["build-state", "--network", "standalone", "--checkpoint-frequency", "8", "--checkpoint", "95"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("order-book")
    url = f"sqlite:///{folder}/state.db"
    assert cli.run(["db", "migrate", "--db-url", url]) == 0
    assert cli.run([*_BUILD, "--history-archive-url", str(_ARCHIVE), "--db-url", url, "--log-level", "warning"]) == 0
    return url


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    opened = connect(database)
    yield opened
    opened.dispose()


@pytest.fixture
def book(engine: sa.Engine) -> Book:
    rows = read_order_book(engine)
    assert rows.ledger == 95
    offers = [
        Offer(
            row["offer_id"],
            Asset.of_key(row["selling_asset"]),
            Asset.of_key(row["buying_asset"]),
            row["pricen"],
            row["priced"],
            row["amount"],
            row["seller_id"],
        )
        for row in rows.offers.to_pylist()
    ]
    pools = []
    for row in rows.liquidity_pools.to_pylist():
        first, second = json.loads(row["asset_reserves"])
        assets = (Asset.of_key(first["asset"]), Asset.of_key(second["asset"]))
        pools.append(Pool(row["id"], *assets, int(first["reserve"]), int(second["reserve"]), row["fee"]))
    return Book({offer.offer_id: offer for offer in offers}, {pool.pool_id: pool for pool in pools})


def _json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert cli.run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_paths_are_those_of_a_plain_search(database: str, book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    found = 0
    for end in sorted(book.assets(), key=str):
        if end.kind == "native":
            continue
        arguments = ["find-paths", "--db-url", database, "--strict-send", "--source-asset", "native"]
        arguments += ["--source-amount", "0.00025", "--destination-asset", str(end), "--max-path-length", "3"]
        answer = _json([*arguments, "--every", "--paths-per-asset", "1000"], capsys)
        assert answer["ledger"] == 95
        expected = book.every(Asset("native"), 2500, end, None, hops=3, receive=False)
        assert {stroops(path["destination_amount"]) for path in answer["paths"]} == {amount for amount, _ in expected}
        assert len(answer["paths"]) == len(expected)
        assert all(path["source_amount"] == "0.0002500" for path in answer["paths"])
        found += len(expected)
    assert found > 5


def test_a_payers_balances_limit_what_it_pays_with(
    database: str, book: Book, engine: sa.Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    seller = next(iter(book.offers.values())).seller
    balances = read_order_book(engine, seller).balances
    (wanted, *_) = sorted((asset for asset in book.assets() if asset not in balances), key=str)
    arguments = ["find-paths", "--db-url", database, "--strict-receive", "--source-account", seller]
    answer = _json([*arguments, "--destination-asset", str(wanted), "--destination-amount", "0.0001"], capsys)
    for path in answer["paths"]:
        asset = Asset(path["source_asset_type"], path.get("source_asset_code", ""), path.get("source_asset_issuer", ""))
        assert stroops(path["source_amount"]) <= balances[asset]


def test_the_order_book_is_that_of_the_offers(database: str, book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    offer = next(iter(book.offers.values()))
    base, counter = offer.selling, offer.buying
    answer = _json(["order-book", "--db-url", database, "--selling", str(base), "--buying", str(counter)], capsys)
    for side, pair, turned in (("asks", (base, counter), False), ("bids", (counter, base), True)):
        offers = [one for one in book.offers.values() if (one.selling, one.buying) == pair]
        prices: dict[str, int] = {}
        for one in sorted(offers, key=lambda one: one.n / one.d):
            price = price_text(one.d, one.n) if turned else price_text(one.n, one.d)
            prices[price] = prices.get(price, 0) + one.amount
        assert {level["price"]: level["amount"] for level in answer[side]} == {
            price: units(amount) for price, amount in prices.items()
        }
    assert answer["ledger"] == 95


def test_people_get_tables(database: str, book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    offer = next(iter(book.offers.values()))
    ends = ["--source-asset", str(offer.buying), "--destination-asset", str(offer.selling)]
    assert cli.run(["find-paths", "--db-url", database, "--strict-send", "--source-amount", "0.0001", *ends]) == 0
    assert "ledger 95:" in capsys.readouterr().out
    pair = ["--selling", str(offer.selling), "--buying", str(offer.buying)]
    assert cli.run(["order-book", "--db-url", database, *pair]) == 0
    assert "asks" in capsys.readouterr().out


_SEND = ["--strict-send", "--source-asset", "native", "--destination-asset", "native"]
_RECEIVE = ["--strict-receive", "--source-asset", "native", "--destination-asset", "native"]


@pytest.mark.parametrize(
    "arguments,message",
    [
        ([], "which amount is fixed"),
        (_SEND, "--strict-send needs --source-amount"),
        (_RECEIVE, "--strict-receive needs --destination-amount"),
        ([*_SEND, "--source-amount", "1", "--destination-amount", "1"], "does not go with --strict-send"),
        ([*_SEND, "--source-amount", "1.00000001"], "at most 7 decimals"),
        ([*_SEND, "--source-amount", "922337203685.4775808"], "the largest is 922337203685.4775807"),
        ([*_SEND, "--source-amount", "0"], "expected 1 to"),
        ([*_SEND, "--source-amount", "1", "--source-asset", "native"], "--source-asset was given 2 times"),
        ([*_SEND, "--source-amount", "1", "--destination-asset", "USD"], "asset 'USD': expected native or CODE:ISSUER"),
        ([*_SEND, "--source-amount", "1", "--destination-asset", "USD:GABC"], "issuer 'GABC' is not an account"),
        (["--strict-receive", "--destination-asset", "native", "--destination-amount", "1"], "which asset"),
    ],
)
def test_a_wrong_question_is_told_and_exits_with_2(
    database: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["find-paths", "--db-url", database, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_payer_is_told(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--destination-asset", "native", "--destination-amount", "1", "--source-account", "GNOBODY"]
    assert cli.run(["find-paths", "--db-url", database, "--strict-receive", *arguments]) == 2
    assert "account GNOBODY is not in the state" in capsys.readouterr().err


def test_a_database_without_a_state_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    assert cli.run(["db", "migrate", "--db-url", url]) == 0
    assert cli.run(["order-book", "--db-url", url, "--selling", "native", "--buying", "native"]) == 1
    assert "holds no state yet" in capsys.readouterr().err


@pytest.mark.postgres
def test_both_databases_give_the_same_rows(engine: sa.Engine, postgres_url: str) -> None:
    assert cli.run(["db", "migrate", "--db-url", postgres_url]) == 0
    build = [*_BUILD, "--history-archive-url", str(_ARCHIVE), "--log-level", "warning"]
    assert cli.run([*build, "--db-url", postgres_url]) == 0
    postgres = connect(postgres_url)
    seller = read_order_book(engine).offers.column("seller_id")[0].as_py()
    assert read_order_book(postgres, seller) == read_order_book(engine, seller)
    postgres.dispose()
