from __future__ import annotations

from fractions import Fraction

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from aurora_ingest.db.order_book import read_order_book
from aurora_ingest.db.order_book_tables import order_book_levels
from aurora_ingest.db.status import read_status
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.amount import stroops, units
from aurora_ingest.orderbook.graph import OrderBookGraph
from aurora_ingest.orderbook.path_search import find_strict_receive, find_strict_send
from ui import followed_state
from ui.browsing import Service, visiting
from ui.contrast import faint_texts

USD = "USD:GD65ZVJ763T5BIV66JB37YIU7YYWZFUZGTNSXZQULX5QKULQX4FTFDKP"
BTC = "BTC:GBNRJMDOE56BENF4H7C3HUCZCXTXY3YAGMB4LOPJIPNBKTLBDPSRLJDQ"
VIEWS = ("#/ingestion", "#/order-book", "#/paths")
_FOCUSED = """() => {
  const at = document.activeElement;
  const name = at.id || at.dataset.view || at.getAttribute("class") || at.closest("[id]")?.id || at.tagName;
  return [name, getComputedStyle(at).outlineWidth];
}"""
_SMALL = """() => [...document.querySelectorAll("button, nav a, [type=text], .kinds label > span")]
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 43)
  .map((each) => each.id || each.textContent)"""
pytestmark = [pytest.mark.usefixtures("alive"), pytest.mark.slow]


def _graph(engine: sa.Engine) -> OrderBookGraph:
    rows = read_order_book(engine)
    return OrderBookGraph(rows.ledger, rows.offers, rows.liquidity_pools)


def _amount(text: str) -> int:
    return stroops("".join(text.split()))


def _settled(page: Page) -> None:
    """Waits until the view that is shown has what it shows."""
    expect(page.locator("#standing-text")).to_contain_text("Following")
    if "order-book" in page.url:
        expect(page.locator("#book")).to_be_visible()
        expect(page.locator("#depth-chart .edge.asks, #depth-chart .edge.bids").first).to_be_attached()


def test_ingestion_is_told_as_the_database_knows_it(browser: Browser, service: Service, followed: sa.Engine) -> None:
    status = read_status(followed)
    with visiting(browser, service) as visit:
        page = visit.open()
        expect(page.locator("#hero-ledger")).to_have_text(str(status.last_ledger))
        expect(page.locator("#standing-text")).to_have_text("Following with 3 nodes")
        expect(page.locator("#hero-leader")).to_have_text(str(status.leader))
        expect(page.locator("#nodes .node-name")).to_have_count(3)
        expect(page.locator("#nodes li", has_text="leads")).to_contain_text(str(status.leader))
        expect(page.locator("#facts")).to_contain_text("checkpoint 71 sound")
        expect(page.locator("#facts")).to_contain_text(str(status.ledger_hash))
        expect(page.locator("#network")).to_have_text(str(status.network_passphrase))
        # One ray for each followed ledger but the first, whose distance nobody knows.
        expect(page.locator("#rate-chart .ray")).to_have_count(16)
        page.locator("#rate-chart svg").focus()
        page.keyboard.press("End")
        expect(page.locator("#rate-readout")).to_contain_text(f"Ledger {status.last_ledger},")
        expect(page.locator("#rate-readout")).to_contain_text(f"by {status.leader}")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#rate-readout")).to_contain_text("Ledger 79,")


def test_a_new_ledger_comes_in_without_a_flicker(browser: Browser, service: Service, followed: sa.Engine) -> None:
    with visiting(browser, service) as visit:
        page = visit.open()
        before = read_status(followed).last_ledger
        assert before is not None
        expect(page.locator("#hero-ledger")).to_have_text(str(before))
        expect(page.locator("#facts > div")).to_have_count(6)
        page.evaluate("""() => {
          for (const each of document.querySelectorAll("#nodes li, #facts > div, #rate-chart .ray")) each.stays = true;
          window.removed = 0;
          new MutationObserver((changes) => {
            const gone = changes.flatMap((change) => [...change.removedNodes]);
            window.removed += gone.filter((node) => node.stays).length;
          }).observe(document.body, { childList: true, subtree: true });
        }""")
        followed_state.follow(followed, [before + 1])
        expect(page.locator("#hero-ledger")).to_have_text(str(before + 1))
        expect(page.locator(f'#rate-chart [data-key="{before + 1}"]')).to_be_attached()
        assert page.evaluate("window.removed") == 0


def test_a_pair_is_found_and_its_book_is_that_of_the_tables(
    browser: Browser, service: Service, followed: sa.Engine
) -> None:
    graph = _graph(followed)
    native, btc = Asset.parse("native"), Asset.parse(BTC)
    asks = graph.levels(native, btc, 200)
    bids = graph.levels(btc, native, 200)
    assert asks
    assert bids
    with visiting(browser, service) as visit:
        page = visit.open("#/order-book")
        _settled(page)
        page.get_by_role("combobox", name="Pair of assets").focus()
        page.keyboard.press("Control+a")
        page.keyboard.type("xlm btc")
        expect(page.get_by_role("option")).to_have_count(1)
        page.keyboard.press("ArrowDown")
        expect(page.get_by_role("option", selected=True)).to_contain_text("BTC")
        page.keyboard.press("Enter")
        expect(page.locator("#pair-name")).to_contain_text("BTC")
        expect(page.locator("#book-when")).to_have_text(f"at ledger {graph.ledger}")
        expect(page.locator("#asks tr")).to_have_count(len(asks))
        expect(page.locator("#bids tr")).to_have_count(len(bids))
        shown = [row.split("\t") for row in page.locator("#asks").inner_text().splitlines()]
        assert [Fraction(row[0]) for row in shown] == [
            Fraction(round(Fraction(level.n, level.d) * 10**7), 10**7) for level in asks
        ]
        titles = page.locator("#asks td:nth-child(2)").evaluate_all("(cells) => cells.map((cell) => cell.title)")
        assert [_amount(title.rpartition(" ")[0]) for title in titles] == [level.amount for level in asks]
        # Bids are in the counter asset; the page tells them in the base asset.
        titles = page.locator("#bids td:nth-child(2)").evaluate_all("(cells) => cells.map((cell) => cell.title)")
        assert [_amount(title.rpartition(" ")[0]) for title in titles] == [
            level.amount * level.n // level.d for level in bids
        ]
        for side in ("bids", "asks"):
            assert page.locator(f"#depth-chart .edge.{side}").get_attribute("d")
        expect(page.locator("#pool")).to_contain_text("native +")
        page.locator("#depth-chart svg").focus()
        page.keyboard.press("End")
        expect(page.locator("#depth-readout")).to_contain_text("Buy up to")
        page.keyboard.press("Home")
        expect(page.locator("#depth-readout")).to_contain_text("Sell up to")
        # What was typed and not chosen is taken back.
        page.get_by_role("combobox", name="Pair of assets").fill("eur")
        expect(page.get_by_role("option").first).to_contain_text("EUR")
        page.keyboard.press("Escape")
        expect(page.get_by_role("listbox")).to_be_hidden()
        expect(page.locator("#pair-input")).to_have_value("native / BTC")
        page.get_by_role("button", name="Swap").click()
        expect(page.locator("#bids tr")).to_have_count(len(asks))
        expect(page.locator("#pair-input")).to_have_value("BTC / native")


def test_the_history_of_a_book_is_walked_through(browser: Browser, service: Service, followed: sa.Engine) -> None:
    columns = order_book_levels.c
    pair = (columns.base_asset == Asset.parse("native").key) & (columns.counter_asset == Asset.parse(BTC).key)
    with followed.connect() as connection:
        ledgers = connection.execute(sa.select(columns.ledger_sequence).where(pair)).scalars().all()
    assert len(ledgers) > 1
    with visiting(browser, service) as visit:
        page = visit.open(f"#/order-book?base=native&counter={BTC}")
        _settled(page)
        slider = page.get_by_role("slider", name="After ledger")
        expect(slider).to_have_attribute("max", str(len(ledgers) - 1))
        expect(page.get_by_role("button", name="Back to now")).to_be_disabled()
        now = page.locator("#bids").inner_text() + page.locator("#asks").inner_text()
        slider.focus()
        page.keyboard.press("Home")
        expect(page.locator("#book-when")).to_have_text(f"as it was after ledger {min(ledgers)}")
        then = page.locator("#bids").inner_text() + page.locator("#asks").inner_text()
        assert then != now
        expect(page.locator("#history-chart .marker")).to_have_attribute("visibility", "visible")
        page.get_by_role("button", name="Back to now").click()
        expect(page.locator("#book-when")).to_contain_text("at ledger")
        assert page.locator("#bids").inner_text() + page.locator("#asks").inner_text() == now


def test_paths_are_found_by_keyboard_and_drawn_as_hops(browser: Browser, service: Service, followed: sa.Engine) -> None:
    graph = _graph(followed)
    with visiting(browser, service) as visit:
        page = visit.open("#/paths")
        _settled(page)
        page.get_by_role("combobox", name="Pay with").focus()
        page.keyboard.type("native")
        expect(page.get_by_role("option")).to_have_count(1)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("usd")
        expect(page.get_by_role("option")).to_have_count(1)
        page.keyboard.press("Enter")
        expect(page.locator("#destination-input")).to_have_value(USD)
        page.keyboard.press("Tab")
        page.keyboard.type("12.5")
        page.keyboard.press("Enter")
        expected = find_strict_send(graph, Asset.parse("native"), 125_000_000, [Asset.parse(USD)])
        assert expected
        expect(page.locator("#ways > li")).to_have_count(len(expected))
        expect(page.locator("#paths-when")).to_have_text(f"exact at ledger {graph.ledger}")
        for at, path in enumerate(expected):
            stops = page.locator("#ways > li").nth(at).locator(".stop")
            expect(stops).to_have_count(len(path.path) + 2)
            assert _amount(stops.last.locator(".amount").inner_text()) == path.destination_amount
            codes = stops.locator(".code").all_inner_texts()
            assert codes[1:-1] == [asset.code or "native" for asset in path.path]
        # The search is in the address: it can be sent to somebody.
        assert "amount=12.5" in page.url
        page.get_by_role("radio", name="What arrives").check()
        page.get_by_label("Amount to arrive").fill("1")
        page.get_by_role("button", name="Find paths").click()
        received = find_strict_receive(graph, Asset.parse(USD), 10_000_000, [Asset.parse("native")])
        expect(page.locator("#ways .amount").first).to_have_text(units(received[0].source_amount).rstrip("0"))


def test_what_cannot_be_is_said_beside_its_field(browser: Browser, service: Service) -> None:
    with visiting(browser, service) as visit:
        page = visit.open("#/paths")
        page.get_by_role("button", name="Find paths").click()
        expect(page.locator("#source-error")).to_have_text("What do you pay with?")
        expect(page.locator("#source-input")).to_be_focused()
        expect(page.locator("#source-input")).to_have_attribute("aria-invalid", "true")
        page.locator("#source-input").fill("native")
        expect(page.locator("#source-error")).to_be_hidden()
        page.locator("#destination-input").fill("USD")
        page.locator("#amount-input").fill("1.23456789")
        page.locator("#amount-input").press("Enter")
        expect(page.locator("#destination-error")).to_contain_text("CODE:ISSUER")
        expect(page.locator("#amount-error")).to_contain_text("7 decimals")
        # An issuer with a wrong checksum only the service can judge; its words come to the field.
        visit.may_fail = True
        page.locator("#destination-input").fill(f"USD:{USD[4:-1]}A")
        page.locator("#amount-input").fill("1")
        page.locator("#amount-input").press("Enter")
        expect(page.locator("#destination-error")).to_be_visible()
        expect(page.locator("#destination-input")).to_be_focused()
        visit.may_fail = False
        page.locator("#destination-input").fill(USD)
        page.locator("#amount-input").fill("922337203685.4775807")
        page.locator("#amount-input").press("Enter")
        expect(page.locator("#paths-count")).to_have_text("No path")
        expect(page.locator("#paths-none")).to_contain_text("A smaller amount may go through")


def test_the_keyboard_reaches_everything_in_order(browser: Browser, service: Service, followed: sa.Engine) -> None:
    with visiting(browser, service) as visit:
        page = visit.open(f"#/order-book?{followed_state.kept_pair(followed)}")
        _settled(page)
        expect(page.locator("#history")).to_be_visible()
        stops = []
        for _ in range(10):
            page.keyboard.press("Tab")
            name, ring = page.evaluate(_FOCUSED)
            stops.append(name)
            assert ring in ("2px", "3px"), f"{name} has the focus, and nobody sees it"
        assert stops[:9] == [
            "skip", "wordmark", "ingestion", "order-book", "paths", "pair-input", "pair-swap", "depth-chart",
            "history-ledger",
        ]  # fmt: skip
        page.keyboard.press("Control+Home")
        page.locator(".skip").focus()
        expect(page.locator(".skip")).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        assert "order-book" in page.url
        page.get_by_role("link", name="Paths").press("Enter")
        expect(page.locator("#title-paths")).to_be_focused()
        expect(page.get_by_role("link", name="Paths")).to_have_attribute("aria-current", "page")
        assert page.title() == "Payment paths · aurora-ingest"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_a_phone_and_can_be_read(browser: Browser, service: Service, scheme: str) -> None:
    search = f"#/paths?kind=send&source=native&destination={USD}&amount=12.5"
    with visiting(browser, service, width=320, height=640, color_scheme=scheme, reduced_motion="reduce") as visit:
        for view in (*VIEWS, search):
            page = visit.open(view)
            _settled(page)
            if view == search:
                expect(page.locator("#ways > li").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") == 320, view
            assert faint_texts(page) == [], view
            assert page.evaluate(_SMALL) == [], view
            moving = page.evaluate("""() => [...document.querySelectorAll("*")]
              .filter((each) => getComputedStyle(each).transitionDuration !== "0s").length""")
            assert moving == 0, view
        light = sum(
            map(int, page.evaluate("getComputedStyle(document.body).backgroundColor").strip("rgb()").split(","))
        )
        assert (light > 3 * 220) if scheme == "light" else (light < 3 * 40)
