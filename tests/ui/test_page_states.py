from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect

import closed_network
from aurora_ingest import cli
from aurora_ingest.db import cursor, nodes
from aurora_ingest.db.builds import BuildPlan, open_build
from aurora_ingest.db.engine import connect, writing
from aurora_ingest.db.read_pairs import read_traded_pairs
from aurora_ingest.transforms.processors import TABLES
from ui import followed_state
from ui.browsing import Service, serving, visiting

pytestmark = pytest.mark.slow
HOSTILE = "<img src=x onerror=alert(1)>"
SEARCH = "#/paths?kind=send&source=native&destination=native&amount=1"


@pytest.fixture
def without_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("empty")
    url = f"sqlite:///{folder}/state.db"
    assert cli.run(["db", "migrate", "--db-url", url]) == 0
    with serving(url, folder) as running:
        yield running


def test_without_a_state_every_view_says_what_is_missing(browser: Browser, without_state: Service) -> None:
    with visiting(browser, without_state) as visit:
        visit.may_fail = True
        page = visit.open()
        expect(page.locator("#standing-text")).to_have_text("Still ingesting: there is no state yet")
        expect(page.locator("#hero-ledger")).to_have_text("none yet")
        expect(page.locator("#ingestion-notice")).to_contain_text("aurora-ingest build-state")
        expect(page.locator("#nodes-empty")).to_be_visible()
        expect(page.locator("#rate-readout")).to_contain_text("as ledgers are followed")
        page = visit.open("#/order-book")
        expect(page.locator("#book-notice")).to_contain_text("still being ingested")
        expect(page.locator("#book")).to_be_hidden()
        page = visit.open(SEARCH)
        expect(page.locator("#paths-notice")).to_contain_text("Still Ingesting")
        # A build begins: all views go on by themselves.
        engine = connect(without_state.url)
        plan = BuildPlan("ab" * 16, 63, "cd" * 32, closed_network.NETWORK.passphrase, tuple(TABLES))
        open_build(engine, plan, resume=False)
        engine.dispose()
        expect(page.locator("#standing-text")).to_contain_text("the state at ledger 63 is being built")
        page.get_by_role("link", name="Ingestion").click()
        expect(page.locator("#hero-label")).to_have_text("Building the state at ledger")
        expect(page.locator("#ingestion-notice")).to_contain_text("0 units done")


@pytest.mark.usefixtures("alive")
def test_nodes_that_are_gone_are_told_and_so_is_a_wrong_state(
    browser: Browser, service: Service, followed: sa.Engine
) -> None:
    followed_state.silence(followed, "one", 600)
    nodes.note(followed, HOSTILE, 80, None)
    followed_state.silence(followed, HOSTILE, -3600)
    try:
        with visiting(browser, service) as visit:
            page = visit.open()
            expect(page.locator("#standing-text")).to_have_text("Following; one is silent")
            expect(page.locator("#nodes li", has_text="silent for 10 min")).to_contain_text("one")
            # What the database says is text, whatever it looks like.
            expect(page.get_by_text(HOSTILE, exact=True)).to_be_visible()
            expect(page.locator("main img")).to_have_count(0)
            for name in (*followed_state.NODES, HOSTILE):
                followed_state.silence(followed, name, 600)
            expect(page.locator("#standing-text")).to_contain_text("No node has been heard of for 10 min")
            expect(page.locator("#announcer")).to_contain_text("No node has been heard of")
            expect(page.locator("#ingestion-notice")).to_contain_text("nobody moves it on")
            with writing(followed) as connection:
                cursor.write(connection, cursor.STATE_INVALID, "true")
            expect(page.locator("#standing-text")).to_contain_text("was found wrong")
            expect(page.locator("#facts")).to_contain_text("waits for a rebuild")
    finally:
        nodes.leave(followed, HOSTILE)
        with writing(followed) as connection:
            cursor.write(connection, cursor.STATE_INVALID, "false")


@pytest.mark.usefixtures("alive")
def test_a_service_that_goes_and_comes_back_is_told(browser: Browser, service: Service) -> None:
    with visiting(browser, service) as visit:
        page = visit.open()
        expect(page.locator("#standing-text")).to_contain_text("Following")
        visit.may_fail = True
        service.kill()
        expect(page.locator("#standing-text")).to_contain_text("The service has not answered since")
        expect(page.locator("#hero-ledger")).to_have_text("80")
        page.get_by_role("link", name="Paths").click()
        page.locator("#source-input").fill("native")
        expect(page.locator("#source-options")).to_contain_text("The service does not answer")
        service.start()
        expect(page.locator("#standing-text")).to_contain_text("Following")
        expect(page.locator("body")).not_to_have_class("stale")


def test_without_kept_books_the_history_says_so(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bare")
    closed_network.state_at(f"sqlite:///{folder}/state.db").dispose()
    with serving(f"sqlite:///{folder}/state.db", folder) as running, visiting(browser, running) as visit:
        page = visit.open("#/order-book")
        expect(page.locator("#history-empty")).to_contain_text("No history of order books is kept here")
        expect(page.locator("#history")).to_be_hidden()
        expect(page.locator("#book-when")).to_have_text("at ledger 63")
        expect(page.locator("#standing-text")).to_have_text("Stands at ledger 63; no node follows")


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[sa.Engine]:
    """The small network in PostgreSQL, followed for three ledgers."""
    engine = closed_network.state_at(postgres_url)
    followed_state.follow(engine, range(64, 67))
    followed_state.write_books(engine, 64, 66)
    yield engine
    engine.dispose()


@pytest.mark.postgres
def test_all_views_over_postgres(
    browser: Browser, postgres: sa.Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = postgres.url.render_as_string(hide_password=False)
    with serving(url, tmp_path_factory.mktemp("postgres")) as running, visiting(browser, running) as visit:
        page = visit.open()
        expect(page.locator("#hero-ledger")).to_have_text("66")
        expect(page.locator("#rate-chart .ray")).to_have_count(2)
        page = visit.open(f"#/order-book?{followed_state.kept_pair(postgres)}")
        expect(page.locator("#book-when")).to_have_text("at ledger 66")
        expect(page.locator("#history")).to_be_visible()
        followed_state.follow(postgres, [67])
        expect(page.locator("#book-when")).to_have_text("at ledger 67")
        page = visit.open(f"#/paths?kind=send&source=native&destination={page_asset(postgres)}&amount=1")
        expect(page.locator("#paths-when")).to_have_text("exact at ledger 67")
        followed_state.follow(postgres, [68])
        expect(page.get_by_role("button", name="Search again")).to_be_visible()
        page.get_by_role("button", name="Search again").click()
        expect(page.locator("#paths-when")).to_have_text("exact at ledger 68")


def page_asset(engine: sa.Engine) -> str:
    """An asset that can be had for the native one."""
    with engine.connect() as connection:
        return next(pair.counter for pair in read_traded_pairs(connection) if pair.base == "native")


def test_a_pair_that_cannot_be_is_refused_once(browser: Browser, service: Service) -> None:
    with visiting(browser, service) as visit:
        visit.may_fail = True
        asked: list[str] = []
        visit.page.on("request", lambda request: asked.append(request.url) if "/order_book?" in request.url else None)
        page = visit.open("#/order-book?base=native&counter=USD:nobody")
        expect(page.locator("#book-notice")).to_contain_text("Choose another pair above")
        expect(page.locator("#book")).to_be_hidden()
        with page.expect_response("**/data/status"):
            pass
        with page.expect_response("**/data/status"):
            pass
        assert len(asked) == 1
