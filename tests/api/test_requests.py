"""What is judged before any work, and what is limited: parameters, kinds of answers, searches, statements, streams."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

import closed_network
from api.served import served
from aurora_ingest.api.limits import Gate
from aurora_ingest.api.problems import OverCapacity
from aurora_ingest.api.resources import ledgers
from aurora_ingest.db import cursor, order_book, reader
from aurora_ingest.db.engine import connect, writing
from aurora_ingest.db.lead import Committer, Outcome
from aurora_ingest.db.reader import connect_reader, reading
from aurora_ingest.db.tables import offers, trust_lines
from aurora_ingest.errors import DatabaseError, StatementTimeoutError
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.amount import stroops
from aurora_ingest.orderbook.graph import OrderBookGraph
from aurora_ingest.orderbook.path_search import find_strict_receive, find_strict_send
from following.nodes import until

ISSUER = "GD65ZVJ763T5BIV66JB37YIU7YYWZFUZGTNSXZQULX5QKULQX4FTFDKP"
EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = f"sqlite:///{tmp_path_factory.mktemp('requests')}/state.db"
    closed_network.state_at(found).dispose()
    return found


@pytest.fixture(scope="module")
def service(url: str) -> Iterator[str]:
    with served(url) as address:
        until(lambda: requests.get(f"{address}/health", timeout=30).status_code == 200, "the service is well")
        yield address


def side(prefix: str, asset: Asset) -> dict[str, str]:
    found = {f"{prefix}asset_type": asset.kind}
    if asset.code:
        found |= {f"{prefix}asset_code": asset.code, f"{prefix}asset_issuer": asset.issuer}
    return found


def busiest_pair(url: str) -> tuple[Asset, Asset]:
    engine = connect(url)
    both = (offers.c.selling_asset, offers.c.buying_asset)
    with engine.connect() as connection:
        query = sa.select(*both).group_by(*both).order_by(sa.func.count().desc(), *both).limit(1)
        selling, buying = connection.execute(query).one()
    engine.dispose()
    return Asset.of_key(selling), Asset.of_key(buying)


@pytest.mark.parametrize("path, query, field", [
    ("/ledgers", "limit=0", "limit"),
    ("/ledgers", "limit=201", "limit"),
    ("/ledgers", "limit=ten", "limit"),
    ("/ledgers", "order=up", "order"),
    ("/ledgers", "cursor=-1", "cursor"),
    ("/ledgers", "cursor=9223372036854775808", "cursor"),
    ("/ledgers", "cursor=1%27%3BDROP", "cursor"),
    ("/ledgers/0", "", "sequence"),
    ("/ledgers/99999999999", "", "sequence"),
    ("/transactions", "include_failed=perhaps", "include_failed"),
    ("/transactions/xyz", "", "transaction_hash"),
    ("/paths/strict-send", "source_asset_type=native&destination_assets=native", "source_amount"),
    ("/paths/strict-send", "source_asset_type=native&source_amount=-1&destination_assets=native", "source_amount"),
    ("/paths/strict-send", "source_asset_type=native&source_amount=0&destination_assets=native", "source_amount"),
    ("/paths/strict-send", "source_asset_type=native&source_amount=922337203686&destination_assets=native",
     "source_amount"),
    ("/paths/strict-send", "source_amount=1&destination_assets=native", "source_asset_type"),
    ("/paths/strict-send", "source_asset_type=gold&source_amount=1&destination_assets=native", "source_asset_type"),
    ("/paths/strict-send", "source_asset_type=native&source_amount=1&destination_assets=native,USD",
     "destination_assets"),
    ("/paths/strict-send", f"source_asset_type=native&source_amount=1&destination_assets={','.join(['native'] * 16)}",
     "destination_assets"),
    ("/paths/strict-receive", "destination_asset_type=native&destination_amount=1&source_account=GABC",
     "source_account"),
    ("/paths", ("destination_asset_type=credit_alphanum4&destination_asset_code=USDUSD&"
     f"destination_asset_issuer={ISSUER}&destination_amount=1&source_assets=native"), "destination_asset_code"),
    ("/order_book", "selling_asset_type=native&selling_asset_code=X&buying_asset_type=native", "selling_asset_code"),
    ("/order_book", "selling_asset_type=native&buying_asset_type=native&limit=1000", "limit"),
])  # fmt: skip
def test_a_wrong_parameter_is_named(service: str, path: str, query: str, field: str) -> None:
    answer = requests.get(f"{service}{path}?{query}", timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    problem = answer.json()
    assert problem["type"] == "https://stellar.org/horizon-errors/bad_request"
    assert problem["extras"]["invalid_field"] == field
    assert problem["extras"]["reason"]
    assert "Latest-Ledger" not in answer.headers  # the database was not asked


@pytest.mark.parametrize("method, path, headers, status, kind", [
    ("POST", "/ledgers", {}, 405, "method_not_allowed"),
    ("GET", "/blocks", {}, 404, "not_found"),
    ("GET", "/ledgers", {"Accept": "application/xml"}, 406, "not_acceptable"),
    ("GET", "/accounts/a%00b", {}, 400, "bad_request"),
    ("GET", "/order_book", {}, 400, "invalid_order_book"),
    ("GET", "/paths/strict-send?source_asset_type=native&source_amount=1", {}, 400, "bad_request"),
    ("GET", f"/ledgers?cursor={'1' * 20_000}", {}, 400, "bad_request"),
])  # fmt: skip
def test_what_cannot_be_answered_is_a_problem_document(
    service: str, method: str, path: str, headers: dict[str, str], status: int, kind: str
) -> None:
    answer = requests.request(method, f"{service}{path}", headers=headers, timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["type"].rsplit("/", 1)[-1]) == (status, kind)


def test_paths_are_those_of_the_graph(service: str, url: str) -> None:
    base, counter = busiest_pair(url)
    engine = connect(url)
    rows = order_book.read_order_book(engine)
    graph = OrderBookGraph(rows.ledger, rows.offers, rows.liquidity_pools)
    ends = [base, Asset("native")]
    sent = find_strict_send(graph, counter, stroops("2.5"), ends)
    received = find_strict_receive(graph, base, stroops("0.1"), [counter, Asset("native")])
    assert sent
    assert received
    named = ",".join(map(str, ends))
    answer = requests.get(
        f"{service}/paths/strict-send",
        {**side("source_", counter), "source_amount": "2.5", "destination_assets": named},
        timeout=30,
    )
    assert answer.headers["Latest-Ledger"] == str(rows.ledger)
    assert answer.json() == {"_embedded": {"records": [path.to_json() for path in sent]}}
    for path in ("/paths", "/paths/strict-receive"):
        answer = requests.get(
            f"{service}{path}",
            {**side("destination_", base), "destination_amount": "0.1", "source_assets": f"{counter},native"},
            timeout=30,
        )
        assert answer.json() == {"_embedded": {"records": [path.to_json() for path in received]}}
    with engine.connect() as connection:
        holder = connection.execute(sa.select(trust_lines.c.account_id).limit(1)).scalar_one()
    balances = order_book.read_order_book(engine, holder).balances
    expected = find_strict_receive(graph, base, stroops("0.1"), balances, source_account=holder)
    parameters = {**side("destination_", base), "destination_amount": "0.1", "source_account": holder}
    answer = requests.get(f"{service}/paths/strict-receive", parameters, timeout=30)
    assert answer.json()["_embedded"]["records"] == [path.to_json() for path in expected]
    nobody = {**parameters, "source_account": "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7"}
    answer = requests.get(f"{service}/paths/strict-receive", nobody, timeout=30)
    assert answer.json() == {"_embedded": {"records": []}}
    engine.dispose()


def test_a_search_that_takes_too_long_is_ended(url: str) -> None:
    base, counter = busiest_pair(url)
    with served(url, search_seconds=1e-6) as address:
        until(lambda: requests.get(f"{address}/health", timeout=30).status_code == 200, "the service is well")
        parameters = {**side("source_", counter), "source_amount": "1", "destination_assets": str(base)}
        answer = requests.get(f"{address}/paths/strict-send", parameters, timeout=30)
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[-1]) in {
        (504, "timeout"),
        (503, "server_over_capacity"),
    }


def test_a_gate_lets_some_in_and_some_wait() -> None:
    async def play() -> tuple[int, int]:
        gate = Gate(places=2, waiting=1, seconds=0.05)
        leave, inside, refused = asyncio.Event(), 0, 0

        async def enter() -> None:
            nonlocal inside, refused
            try:
                async with gate.entered():
                    inside += 1
                    await leave.wait()
            except OverCapacity:
                refused += 1

        tasks = [asyncio.create_task(enter()) for _ in range(5)]
        while refused < 3:  # noqa: ASYNC110 - two come in, one waits in vain, two do not even wait
            await asyncio.sleep(0.01)
        assert (inside, gate.inside) == (2, 2)
        leave.set()
        await asyncio.gather(*tasks)
        async with gate.entered():
            inside += 1
        return inside, refused

    assert asyncio.run(play()) == (3, 3)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_statement_is_ended_at_its_deadline_and_nothing_is_written(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    here = f"sqlite:///{tmp_path}/state.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    closed_network.state_at(here).dispose()
    engine = connect_reader(here, connections=1, statement_seconds=0.2)
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        if kind == "sqlite"
        else "SELECT pg_sleep(60)"
    )
    with pytest.raises(StatementTimeoutError), reading(engine, 0.2) as (connection, _):
        connection.exec_driver_sql(endless)
    with pytest.raises((sa.exc.DBAPIError, DatabaseError)), engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM key_value_store")
    with reading(engine, 0.2) as (_, standing):
        assert standing.ledger == closed_network.CHECKPOINT
    engine.dispose()


def test_no_connection_in_time_is_too_much_at_once(service: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_POOL_SECONDS", 0.05)
    with served(url, connections=1) as address:
        until(lambda: requests.get(f"{address}/health", timeout=30).status_code == 200, "the service is well")
        enter, leave = threading.Event(), threading.Event()
        plain = reader.read_standing

        def held(connection: sa.Connection) -> Any:
            if threading.current_thread().name != "order-book" and not enter.is_set():
                enter.set()
                leave.wait(60)
            return plain(connection)

        monkeypatch.setattr(reader, "read_standing", held)
        slow = threading.Thread(target=requests.get, args=(f"{address}/ledgers",), kwargs={"timeout": 60})
        slow.start()
        try:
            assert enter.wait(60)
            answer = requests.get(f"{address}/ledgers", timeout=30)
        finally:
            leave.set()
            slow.join()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["type"].endswith("/server_over_capacity")


def test_browsers_of_the_named_origins_may_call(service: str, url: str) -> None:
    answer = requests.get(f"{service}/", headers={"Origin": "https://anywhere.example"}, timeout=30)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Latest-Ledger" in answer.headers["Access-Control-Expose-Headers"]
    with served(url, cors_origins=("https://wallet.example",), public_url="https://api.example/v1/") as address:
        for origin, allowed in (("https://wallet.example", "https://wallet.example"), ("https://other.example", None)):
            answer = requests.get(f"{address}/", headers={"Origin": origin}, timeout=30)
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert answer.json()["_links"]["ledgers"]["href"].startswith("https://api.example/v1/ledgers{")


def test_links_lead_to_where_the_request_was_sent(service: str) -> None:
    for host, expected in (("horizon.example:81", "http://horizon.example:81/"), ('bad"host', f"{service}/")):
        answer = requests.get(f"{service}/", headers={"Host": host}, timeout=30)
        assert answer.json()["_links"]["self"]["href"] == expected


@pytest.mark.parametrize("key, value, status, kind", [
    (cursor.LAST_LEDGER, "0", 503, "still_ingesting"),
    (cursor.VERSION, "2", 503, "still_ingesting"),
    (cursor.STATE_INVALID, "true", 503, "state_invalid"),
])  # fmt: skip
def test_nothing_is_shown_of_a_state_that_is_not_ready(
    tmp_path: Path, key: str, value: str, status: int, kind: str
) -> None:
    here = f"sqlite:///{tmp_path}/state.db"
    engine = closed_network.state_at(here)
    with writing(engine) as connection:
        cursor.write(connection, key, value)
    engine.dispose()
    book = {**side("selling_", Asset("native")), **side("buying_", Asset.parse(f"USD:{ISSUER}"))}
    with served(here) as address:
        for path in ("/accounts/" + ISSUER, "/offers", "/ledgers", "/transactions", "/order_book"):
            until(
                lambda path=path: (
                    requests.get(f"{address}{path}", book, timeout=30).json().get("type", "").endswith(kind)
                ),
                f"{path} says {kind}",
            )
            assert requests.get(f"{address}{path}", book, timeout=30).status_code == status
        root = requests.get(f"{address}/", timeout=30)
        assert root.status_code == 200
        assert root.json()["ingest_latest_ledger"] == (0 if key == cursor.LAST_LEDGER else closed_network.CHECKPOINT)
        assert requests.get(f"{address}/health", timeout=30).status_code == 503


def test_ledgers_come_as_they_are_committed(tmp_path: Path) -> None:
    here = f"sqlite:///{tmp_path}/state.db"
    engine = closed_network.state_at(here)
    node = Committer(engine, node="one", network_passphrase=closed_network.NETWORK.passphrase, deadline_seconds=30.0)
    settings = {"poll_seconds": 0.02, "heartbeat_seconds": 0.05, "stream_seconds": 40.0}
    with served(here, **settings) as address:
        now = {"cursor": "now", "limit": "3"}
        with requests.get(f"{address}/ledgers", now, headers=EVENTS, stream=True, timeout=60) as answer:
            lines = answer.iter_lines(decode_unicode=True)
            assert [next(lines) for _ in range(3)] == ["retry: 1000", "event: open", 'data: "hello"']
            while next(lines) != ": heartbeat":
                pass
            found = []
            for ledger in (64, 65, 66):
                assert node.commit([closed_network.prepared()[ledger]]).outcome is Outcome.LED
                found.append(next(line for line in lines if line.startswith("id: ")))
            assert found == [f"id: {ledger << 32}" for ledger in (64, 65, 66)]
            rest = [line for line in lines if line and not line.startswith((":", "data: {"))]
            assert rest == ["retry: 10", "event: close", 'data: "byebye"']
        again = {**EVENTS, "Last-Event-ID": str(64 << 32)}
        answer = requests.get(f"{address}/ledgers", {"cursor": "now", "limit": 2}, headers=again, timeout=60)
        assert [line for line in answer.text.splitlines() if line.startswith("id")] == found[1:]
        refused = requests.get(f"{address}/ledgers", {"cursor": "x"}, headers=EVENTS, timeout=60)
        assert (refused.status_code, refused.json()["extras"]["invalid_field"]) == (400, "cursor")
    engine.dispose()


def test_an_order_book_is_sent_when_it_has_changed(tmp_path: Path) -> None:
    here = f"sqlite:///{tmp_path}/state.db"
    engine = closed_network.state_at(here)
    base, counter = busiest_pair(here)
    pair = {**side("selling_", base), **side("buying_", counter)}
    with served(here, poll_seconds=0.02, stream_seconds=40.0) as address:
        until(lambda: requests.get(f"{address}/health", timeout=30).status_code == 200, "the service is well")
        with requests.get(f"{address}/order_book", pair, headers=EVENTS, stream=True, timeout=60) as answer:
            data = (line for line in answer.iter_lines(decode_unicode=True) if line.startswith("data: {"))
            first = next(data)
            with writing(engine) as connection:
                of_pair = (offers.c.selling_asset == base.key) & (offers.c.buying_asset == counter.key)
                connection.execute(sa.delete(offers).where(of_pair))
                cursor.write(connection, cursor.LAST_HASH, "ab" * 32)  # doubt enough to read the book anew
            second = next(data)
        assert '"asks": []' not in first
        assert '"asks": []' in second
    engine.dispose()


def test_streams_are_counted_and_say_goodbye_at_the_end(tmp_path: Path) -> None:
    here = f"sqlite:///{tmp_path}/state.db"
    closed_network.state_at(here).dispose()
    with served(here, streams=1, stream_seconds=40.0) as address:
        answer = requests.get(f"{address}/ledgers?cursor=now", headers=EVENTS, stream=True, timeout=60)
        lines = answer.iter_lines(decode_unicode=True)
        assert next(lines) == "retry: 1000"
        refused = requests.get(f"{address}/ledgers?cursor=now", headers=EVENTS, timeout=60)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert [line for line in lines if line][-1] == 'data: "byebye"'
    answer.close()


def test_what_nobody_expected_is_told_without_its_text(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(ledgers, "read_ledger", broken)
    answer = requests.get(f"{service}/ledgers/5", timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text


def test_figures_name_routes_and_not_addresses(service: str) -> None:
    requests.get(f"{service}/ledgers/7", timeout=30)
    figures = requests.get(f"{service}/metrics", timeout=30).text
    assert 'aurora_serve_request_duration_seconds_count{route="/ledgers/{sequence}"' in figures
    assert "aurora_serve_order_book_ledger 63.0" in figures
    assert "ledgers/7" not in figures
