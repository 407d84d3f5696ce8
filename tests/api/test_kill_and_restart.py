"""`serve` and `follow` are killed and started again in several orders: each answer is of the one ledger it names."""

from __future__ import annotations

import signal
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
import sqlalchemy as sa

import closed_network
from api.service_process import ServiceProcess, service_process
from aurora_ingest.db.lead import Committer, Outcome
from aurora_ingest.db.tables import accounts, offers
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.amount import units
from following.nodes import GrowingSource, Nodes, nodes_in, until

pytestmark = pytest.mark.slow

Json = dict[str, Any]
_LAST = 100
_ALLOWED = {"still_ingesting", "server_over_capacity"}


@dataclass(frozen=True)
class _State:
    """What the service has to answer at one ledger."""

    balances: dict[str, str]
    offers: dict[str, tuple[str, str]]
    book: dict[str, str]


@dataclass
class _Client:
    """Asks all the time, and keeps what it was told.

    Attributes:
        told: address, ledger by the header, document.
        refused: problems, by the last part of their type.
    """

    address: str
    pair: tuple[Asset, Asset]
    account: str
    told: list[tuple[str, int, Json]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    newest: int = 0

    def run(self, stop: threading.Event) -> None:
        base, counter = self.pair
        book = {**_parameters("selling", base), **_parameters("buying", counter), "limit": "200"}
        paths = {**_parameters("source", counter), "source_amount": "1", "destination_account": self.account}
        questions: list[tuple[str, dict[str, str]]] = [
            ("/order_book", book),
            ("/accounts", {"signer": self.account}),
            ("/offers", {"limit": "200"}),
            ("/paths/strict-send", paths),
            ("/ledgers", {"order": "desc", "limit": "1"}),
        ]
        while not stop.is_set():
            for path, parameters in questions:
                try:
                    answer = requests.get(f"{self.address}{path}", parameters, timeout=30)
                except requests.ConnectionError:
                    stop.wait(0.05)
                    continue
                if answer.status_code == 200:
                    ledger = int(answer.headers["Latest-Ledger"])
                    self.told.append((path, ledger, answer.json()))
                    self.newest = ledger
                else:
                    self.refused.add(answer.json()["type"].rsplit("/", 1)[-1])


def _parameters(side: str, asset: Asset) -> dict[str, str]:
    found = {f"{side}_asset_type": asset.kind}
    return found | {f"{side}_asset_code": asset.code, f"{side}_asset_issuer": asset.issuer} if asset.code else found


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[int, _State]:
    """The state of every ledger from 63 on, by plain statements on a database that nobody disturbs."""
    engine = closed_network.state_at(f"sqlite:///{tmp_path_factory.mktemp('states')}/state.db")
    node = Committer(engine, node="one", network_passphrase=closed_network.NETWORK.passphrase, deadline_seconds=30.0)
    found = {closed_network.CHECKPOINT: _state(engine)}
    for ledger in range(closed_network.CHECKPOINT + 1, _LAST + 1):
        assert node.commit([closed_network.prepared()[ledger]]).outcome is Outcome.LED
        found[ledger] = _state(engine)
    engine.dispose()
    assert len({str(state.offers) for state in found.values()}) > 10, "the ledgers hardly change anything"
    return found


def _state(engine: sa.Engine) -> _State:
    base, counter = _pair(engine)
    book: dict[str, int] = {}
    with engine.connect() as connection:
        balances = {
            row.account_id: units(row.balance)
            for row in connection.execute(sa.select(accounts.c.account_id, accounts.c.balance))
        }
        rows = connection.execute(sa.select(offers)).all()
    for row in rows:
        if (row.selling_asset, row.buying_asset) == (base.key, counter.key):
            text = f"{row.pricen / row.priced:.7f}"
            book[text] = book.get(text, 0) + row.amount
    listed = {str(row.offer_id): (row.seller_id, units(row.amount)) for row in rows}
    return _State(balances, listed, {price: units(amount) for price, amount in book.items()})


def _pair(engine: sa.Engine) -> tuple[Asset, Asset]:
    """The pair with the most offers at the beginning; it is told by name, so that it is the same at every ledger."""
    if not _PAIRS:
        both = (offers.c.selling_asset, offers.c.buying_asset)
        query = sa.select(*both).group_by(*both).order_by(sa.func.count().desc(), *both).limit(1)
        with engine.connect() as connection:
            base, counter = connection.execute(query).one()
        _PAIRS.append((Asset.of_key(base), Asset.of_key(counter)))
    return _PAIRS[0]


_PAIRS: list[tuple[Asset, Asset]] = []


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.db"
        return
    server: str = request.getfixturevalue("postgres_server")
    name = f"killed_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # a name of our own making
        yield f"{server}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def test_answers_are_of_one_ledger_whatever_is_killed(url: str, states: dict[int, _State], tmp_path: Path) -> None:
    engine = closed_network.state_at(url)
    account = max(states[closed_network.CHECKPOINT].balances, key=lambda each: states[63].balances[each])
    source = GrowingSource(tmp_path / "ledgers.xdr", closed_network.ledgers(), 66)
    flags = ["--network", "standalone", "--checkpoint-frequency", "8"]
    flags += ["--history-archive-url", str(closed_network.ARCHIVE), "--ledgers", str(source.path), "--db-url", url]
    flags += ["--poll-interval", "0.1", "--verify-state-every", "0"]
    stop = threading.Event()
    with (
        nodes_in(tmp_path / "nodes", *flags) as nodes,
        service_process(url, tmp_path / "serve.log") as service,
    ):
        client = _Client(service.address, _pair(engine), account)
        engine.dispose()
        asking = threading.Thread(target=client.run, args=(stop,))
        asking.start()
        try:
            _in_every_order(nodes, service, source, client)
        finally:
            stop.set()
            asking.join()
        assert service.kill(signal.SIGTERM) == 0
    _judge(client, states)


def _in_every_order(nodes: Nodes, service: ServiceProcess, source: GrowingSource, client: _Client) -> None:
    def come_to(ledger: int) -> None:
        until(lambda: client.newest >= ledger, f"an answer of ledger {ledger}; the newest is {client.newest}")

    service.start("--poll-interval", "0.1")
    come_to(63)
    node = nodes.start("one")
    come_to(66)
    node.send(signal.SIGKILL)  # the follower alone: its last ledger stays to be read
    node.exit_code()
    source.give(*range(67, 75))
    node = nodes.start("two")
    come_to(74)
    service.kill()  # the service alone: ledgers go on without it
    source.give(*range(75, 83))
    service.start("--poll-interval", "0.1")
    come_to(82)
    node.send(signal.SIGKILL)  # both, the service back first
    service.kill()
    node.exit_code()
    source.give(*range(83, 91))
    service.start("--poll-interval", "0.1")
    come_to(82)
    node = nodes.start("three")
    come_to(90)
    service.kill()  # both, the follower back first
    node.send(signal.SIGKILL)
    node.exit_code()
    source.give(*range(91, _LAST + 1))
    nodes.start("four")
    service.start("--poll-interval", "0.1")
    come_to(_LAST)


def _judge(client: _Client, states: dict[int, _State]) -> None:
    assert client.refused <= _ALLOWED
    ledgers = {ledger for _, ledger, _ in client.told}
    assert {63, 66, 82, _LAST} <= ledgers
    seen = {path for path, _, _ in client.told}
    assert len(seen) == 5, f"some were never answered: {seen}"
    paths: dict[int, Json] = {}
    for path, ledger, document in client.told:
        state = states[ledger]
        if path == "/paths/strict-send":
            assert document == paths.setdefault(ledger, document), f"paths at {ledger}"
            continue
        if path == "/order_book":
            assert {ask["price"]: ask["amount"] for ask in document["asks"]} == state.book, f"book at {ledger}"
            continue
        records = document["_embedded"]["records"]
        if path == "/accounts":
            (record,) = (each for each in records if each["account_id"] == client.account)
            balance = next(each["balance"] for each in record["balances"] if each["asset_type"] == "native")
            assert balance == state.balances[client.account], f"balance at {ledger}"
        elif path == "/offers":
            found = {each["id"]: (each["seller"], each["amount"]) for each in records}
            assert found == state.offers, f"offers at {ledger}"
        elif path == "/ledgers" and records:
            assert records[0]["sequence"] == ledger
