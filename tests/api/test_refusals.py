"""What the service refuses, and in which order: the request first, then the state, then the time that it takes."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa

import closed_network
from api.served import served
from aurora_ingest.db import cursor, schema
from aurora_ingest.db.engine import connect, writing

ACCOUNT = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7"
OF_THE_STATE = (
    f"/accounts?signer={ACCOUNT}",
    f"/accounts/{ACCOUNT}",
    f"/accounts/{ACCOUNT}/offers",
    f"/accounts/{ACCOUNT}/data/name",
    "/offers",
    "/offers/7",
    "/assets",
    "/claimable_balances",
    f"/claimable_balances/{'0' * 72}",
    "/liquidity_pools",
    f"/liquidity_pools/{'0' * 64}",
)
REFUSED = (
    ("/accounts?signer=G", "signer"),
    ("/accounts/G", "account_id"),
    ("/accounts/G/offers", "account_id"),
    (f"/accounts/{ACCOUNT}/data/{'a' * 65}", "key"),
    ("/offers?limit=0", "limit"),
    ("/offers/0", "offer_id"),
    (f"/offers/{2**63}", "offer_id"),
    (f"/offers?cursor={2**63}", "cursor"),
    (f"/offers?cursor={'0' * 30}", "cursor"),
    ("/offers?order=up", "order"),
    ("/offers?selling=USD", "selling"),
    ("/offers?selling_asset_code=USD", "selling_asset_type"),
    ("/offers?selling_asset_type=gold", "selling_asset_type"),
    ("/offers?buying_asset_type=native&buying_asset_code=USD", "buying_asset_code"),
    ("/offers?buying_asset_type=credit_alphanum4&buying_asset_code=LONGER", "buying_asset_code"),
    ("/offers?buying_asset_type=credit_alphanum4&buying_asset_code=USD", "buying_asset_issuer"),
    ("/offers?selling=native&selling_asset_type=native", "selling_asset_type"),
    ("/assets?asset_code=U%20D", "asset_code"),
    (f"/assets?cursor=USD_{ACCOUNT}_gold", "cursor"),
    ("/claimable_balances?asset=USD:G", "asset"),
    (f"/claimable_balances?cursor={2**31}-{'0' * 72}", "cursor"),
    (f"/claimable_balances/{'1' * 72}", "id"),
    ("/liquidity_pools?reserves=native,USD", "reserves"),
    (f"/liquidity_pools?reserves=native&account={ACCOUNT}", "reserves"),
    (f"/liquidity_pools/{'0' * 63}", "liquidity_pool_id"),
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    url = f"sqlite:///{tmp_path_factory.mktemp('empty')}/empty.db"
    engine = connect(url)
    schema.migrate(engine)
    engine.dispose()
    with served(url) as address:
        yield address


@pytest.mark.parametrize("path", OF_THE_STATE)
def test_before_the_first_state_nothing_is_shown(empty: str, path: str) -> None:
    response = requests.get(empty + path, timeout=30)
    assert response.status_code == 503
    assert response.json()["type"].endswith("/still_ingesting")
    assert "Latest-Ledger" not in response.headers


@pytest.mark.parametrize("path, field", REFUSED)
def test_a_request_is_judged_before_any_work(empty: str, path: str, field: str) -> None:
    response = requests.get(empty + path, timeout=30)
    assert response.status_code == 400  # and not 503, which the state would be answered with
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["extras"]["invalid_field"] == field


@pytest.mark.parametrize(
    "target",
    [b"/offers?cursor=%00", b"/offers?seller=%ff%fe", b"/accounts/%ff", b"/accounts/%00", b"/offers?%00=1", b"/%ff%00"],
)
def test_bytes_that_are_no_text_are_refused(empty: str, target: bytes) -> None:
    host, port = empty.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.split(b" ", 2)[1] in {b"400", b"404"}, answer


def test_a_state_that_was_found_wrong_is_not_shown(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    engine = closed_network.state_at(url)
    with writing(engine) as connection:
        cursor.write(connection, cursor.STATE_INVALID, "true")
    engine.dispose()
    with served(url) as address:
        for path in OF_THE_STATE:
            response = requests.get(address + path, timeout=30)
            assert (response.status_code, response.json()["title"]) == (503, "State Invalid")


@pytest.mark.postgres
def test_an_answer_that_takes_too_long_is_given_up(postgres_url: str) -> None:
    engine = closed_network.state_at(postgres_url)
    with served(postgres_url, statement_seconds=0.5) as address:
        assert requests.get(f"{address}/offers", timeout=30).status_code == 200
        with engine.begin() as connection:
            connection.execute(sa.text("LOCK TABLE offers IN ACCESS EXCLUSIVE MODE"))
            begin = time.monotonic()
            response = requests.get(f"{address}/offers", timeout=30)
            assert time.monotonic() - begin < 10
            assert (response.status_code, response.json()["title"]) == (504, "Timeout")
        assert requests.get(f"{address}/offers", timeout=30).status_code == 200
    engine.dispose()
