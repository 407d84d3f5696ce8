"""How databases answer the service's queries: by an index to the first row of the page, whatever is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from aurora_ingest.db import (
    read_accounts,
    read_assets,
    read_claimable_balances,
    read_liquidity_pools,
    read_offers,
    schema,
)
from aurora_ingest.db.engine import is_postgres
from aurora_ingest.db.read_claimable_balances import BalanceFilter
from aurora_ingest.db.read_offers import OfferFilter
from aurora_ingest.db.read_pages import KeyPage
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.ledger.asset import Asset
from db import states

ROWS = 8_000
ISSUER = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7"
USD, EUR, NATIVE = Asset("credit_alphanum4", "USD", ISSUER), Asset("credit_alphanum4", "EUR", ISSUER), Asset("native")
RARE = Asset("credit_alphanum4", "RARE", ISSUER)
FIRST = KeyPage(None, descending=False, limit=10)
SORTED_BY_INDEX = "the rows come out of the index in the order of the page"
SORTED = "no more rows are sorted than the account or the asset has"

# Every second row has the assets asked for, every tenth the account: a page must not read or sort them all.
FILL = """
INSERT INTO accounts SELECT account, 0, 0, 0, 0, 0, '', 0, '', 1, 0, 0, 0, 7, often, 0, 0, NULL, NULL, NULL FROM many;
INSERT INTO accounts_signers SELECT account, coalesce(often, account), 1, often FROM many;
INSERT INTO accounts_data SELECT account, account, 'name', '', 7, often, NULL FROM many;
INSERT INTO trust_lines
    SELECT account, account, CASE WHEN odd THEN 1 ELSE 3 END, CASE WHEN odd THEN '{issuer}' ELSE '' END,
           CASE WHEN odd THEN 'USD' ELSE '' END, 0, 1, 0, 0, 1, 7, often, CASE WHEN odd THEN '' ELSE '{pool}' END
    FROM many;
INSERT INTO offers
    SELECT coalesce(often, account), i, CASE WHEN odd THEN '{usd}' ELSE '{native}' END,
           CASE WHEN odd THEN '{eur}' ELSE '{usd}' END, 1, 1, 1, 1, 0, 7, false, often
    FROM many;
INSERT INTO claimable_balances
    SELECT id, '[]', CASE WHEN odd THEN '{usd}' ELSE '{native}' END, 1, often, i, 0, '[]' FROM many;
INSERT INTO claimable_balance_claimants SELECT id, coalesce(often, account), i FROM many;
INSERT INTO liquidity_pools
    SELECT md5(id) || md5(account), 0, 30, 1, 1,
           jsonb_build_array(
               jsonb_build_object('asset', CASE WHEN mod(i, 50) = 0 THEN '{usd}' ELSE id END, 'reserve', '1'),
               jsonb_build_object('asset', account, 'reserve', '2')), 7, false
    FROM many;
INSERT INTO exp_asset_stats
    SELECT 1, CASE WHEN odd THEN 'USD' ELSE 'C' || i END, CASE WHEN odd THEN account ELSE '{issuer}' END, '{{}}', '{{}}'
    FROM many;
INSERT INTO asset_contracts
    SELECT decode(md5(id), 'hex'), decode(md5(id), 'hex'), 1, CASE WHEN odd THEN 'USD' ELSE 'C' || i END,
           CASE WHEN odd THEN account ELSE '{issuer}' END, 100
    FROM many;
INSERT INTO contract_asset_stats SELECT decode(md5(id), 'hex'), '{{}}' FROM many;
INSERT INTO history_ledgers
    SELECT i, md5(id), md5(id), 0, 0, now(), now(), now(), i, 1, 0, 0, 0, 0, 0, 0, '', 0, 0, 0 FROM many;
"""


@pytest.fixture(scope="module")
def filled(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[sa.Engine]:
    url = f"{postgres_server.replace('postgresql:', 'postgresql+psycopg:')}/"
    server = sa.create_engine(f"{url}postgres", isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE read_plans")
    engine = sa.create_engine(f"{url}read_plans")
    try:
        schema.migrate(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE TEMPORARY TABLE many AS SELECT i, mod(i, 2) = 1 AS odd, "
                "'G' || lpad(i::text, 55, '0') AS account, "
                f"lpad(to_hex(i), 72, '0') AS id, CASE WHEN mod(i, 10) = 1 THEN '{ISSUER}' END AS often "
                f"FROM generate_series(1, {ROWS}) AS i"
            )
            text = FILL.format(issuer=ISSUER, pool="ab" * 32, usd=USD.key, eur=EUR.key, native=NATIVE.key)
            for statement in text.split(";")[:-1]:
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("ANALYZE")
        yield engine
    finally:
        engine.dispose()
        with server.connect() as connection:
            connection.exec_driver_sql("DROP DATABASE read_plans WITH (FORCE)")
        server.dispose()


def offers(page: KeyPage, **chosen: Any) -> Callable[[sa.Connection], object]:
    return lambda connection: read_offers.read_offers(connection, OfferFilter(**chosen), page)


def balances(page: KeyPage, **chosen: Any) -> Callable[[sa.Connection], object]:
    return lambda connection: read_claimable_balances.read_claimable_balances(connection, BalanceFilter(**chosen), page)


def pools(page: KeyPage, *reserves: Asset, account: str | None = None) -> Callable[[sa.Connection], object]:
    return lambda connection: read_liquidity_pools.read_liquidity_pools(connection, reserves, account, page)


def assets(page: KeyPage, code: str | None = None, issuer: str | None = None) -> Callable[[sa.Connection], object]:
    return lambda connection: read_assets.read_assets(connection, code, issuer, page)


MIDDLE = f"G{ROWS // 2:055d}"
OF_ACCOUNTS = KeyPage((MIDDLE,), descending=True, limit=10)
OF_OFFERS = KeyPage((ROWS // 2,), descending=True, limit=10)
OF_BALANCES = KeyPage((ROWS // 2, "0" * 72), descending=True, limit=10)
OF_ASSETS = KeyPage(("C7", ISSUER), descending=True, limit=10)

CASES: dict[str, tuple[Callable[[sa.Connection], object], str]] = {
    "signer": (lambda it: read_accounts.read_accounts_of_signer(it, ISSUER, OF_ACCOUNTS), SORTED_BY_INDEX),
    "sponsor": (lambda it: read_accounts.read_accounts_of_sponsor(it, ISSUER, OF_ACCOUNTS), SORTED),
    "asset": (lambda it: read_accounts.read_accounts_of_asset(it, USD, OF_ACCOUNTS), SORTED_BY_INDEX),
    "pool": (lambda it: read_accounts.read_accounts_of_pool(it, "ab" * 32, OF_ACCOUNTS), SORTED_BY_INDEX),
    "account": (lambda it: read_accounts.read_account(it, MIDDLE), SORTED),
    "data": (lambda it: read_accounts.read_data_entry(it, MIDDLE, "name"), SORTED_BY_INDEX),
    "offers": (offers(OF_OFFERS), SORTED_BY_INDEX),
    "offers by seller": (offers(OF_OFFERS, seller=ISSUER), SORTED_BY_INDEX),
    "offers by selling": (offers(OF_OFFERS, selling=USD), SORTED_BY_INDEX),
    "offers by buying": (offers(OF_OFFERS, buying=EUR), SORTED_BY_INDEX),
    "offers by pair": (offers(OF_OFFERS, selling=USD, buying=EUR), SORTED_BY_INDEX),
    "offers by sponsor": (offers(OF_OFFERS, sponsor=ISSUER), SORTED_BY_INDEX),
    "offers of a rare asset": (offers(FIRST, selling=RARE), SORTED_BY_INDEX),
    "offer": (lambda it: read_offers.read_offer(it, 7), SORTED_BY_INDEX),
    "balances": (balances(OF_BALANCES), SORTED_BY_INDEX),
    "balances by asset": (balances(OF_BALANCES, asset=USD), SORTED_BY_INDEX),
    "balances by sponsor": (balances(OF_BALANCES, sponsor=ISSUER), SORTED_BY_INDEX),
    "balances by claimant": (balances(OF_BALANCES, claimant=ISSUER), SORTED_BY_INDEX),
    "balances by all": (balances(OF_BALANCES, claimant=ISSUER, asset=USD, sponsor=ISSUER), SORTED),
    "balance": (lambda it: read_claimable_balances.read_claimable_balance(it, "0" * 71 + "7"), SORTED_BY_INDEX),
    "pools": (pools(FIRST), SORTED_BY_INDEX),
    "pools by reserve": (pools(FIRST, RARE), SORTED),
    "pools by reserves": (pools(FIRST, RARE, NATIVE), SORTED),
    "pools of an account": (pools(FIRST, account=MIDDLE), SORTED),
    "pool itself": (lambda it: read_liquidity_pools.read_liquidity_pool(it, "ab" * 32), SORTED_BY_INDEX),
    "assets": (assets(OF_ASSETS), SORTED),
    "assets by code": (assets(OF_ASSETS, code="USD"), SORTED),
    "assets by issuer": (assets(OF_ASSETS, issuer=ISSUER), SORTED),
    "asset by both": (assets(FIRST, code="C8", issuer=ISSUER), SORTED),
}


@pytest.mark.postgres
@pytest.mark.parametrize("case", CASES)
def test_no_table_is_read_whole(filled: sa.Engine, case: str) -> None:
    read, order = CASES[case]
    plans = plans_of(filled, read)
    assert plans
    for plan in plans:
        assert "Seq Scan" not in plan, plan
        assert _most_rows(plan) <= (ROWS // 40 if order == SORTED_BY_INDEX else ROWS // 10), plan
    if order == SORTED_BY_INDEX:
        assert "Sort" not in plans[0], plans[0]


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    engine = states.migrated(f"sqlite:///{tmp_path_factory.mktemp('plans')}/state.db")
    yield engine
    engine.dispose()


@pytest.mark.parametrize("case", CASES)
def test_sqlite_reads_no_table_whole(sqlite: sa.Engine, case: str) -> None:
    read, order = CASES[case]
    plans = plans_of(sqlite, read)
    assert plans
    for plan in plans:
        scanned = set(re.findall(r"SCAN (\w+)", plan)) & set(STATE_TABLES)
        # SQLite has no index into JSON: pools are looked at one by one, in the order of the page.
        assert scanned <= ({"liquidity_pools"} if case.startswith("pools") else set()), plan
    if order == SORTED_BY_INDEX:
        assert "TEMP B-TREE" not in plans[0], plans[0]


def plans_of(engine: sa.Engine, read: Callable[[sa.Connection], object]) -> list[str]:
    """Runs a read, and returns how each of its statements is carried out; in PostgreSQL with the rows of each step."""
    explain, text_at = ("EXPLAIN ANALYZE", 0) if is_postgres(engine) else ("EXPLAIN QUERY PLAN", 3)
    statements: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.lstrip().startswith("SELECT"):
            statements.append((statement, parameters))

    with engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", note)
        read(connection)
        event.remove(connection, "before_cursor_execute", note)
        return [
            "\n".join(row[text_at] for row in connection.exec_driver_sql(f"{explain} {statement}", parameters))
            for statement, parameters in statements
        ]


def _most_rows(plan: str) -> int:
    """Returns the most rows that a step of a plan gave or threw away."""
    given = [int(rows) for rows in re.findall(r"actual time=\S+ rows=(\d+)", plan)]
    return max(given + [int(rows) for rows in re.findall(r"Removed by Filter: (\d+)", plan)])
