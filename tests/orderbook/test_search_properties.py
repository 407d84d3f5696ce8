from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.errors import SearchTimeoutError, StateError, UsageError
from aurora_ingest.orderbook.path_search import PaymentPath, SearchLimits, find_strict_receive, find_strict_send
from orderbook.order_books import ISSUER, OTHER, Offer, Pool, asset, offer_rows, pool_rows
from orderbook.plain_book import Book

ASSETS = [asset(code) for code in ("native", "aaa", "bbb", "ccc", "ddd")]
ALL = SearchLimits(max_hops=3, paths_per_asset=10_000, every=True)


amounts = st.one_of(st.integers(1, 50), st.integers(1, 10**15))
pairs = st.permutations(ASSETS).map(lambda order: order[:2])
offers = st.builds(
    lambda id_, pair, n, d, amount, seller: Offer(id_, *pair, n, d, amount, seller),
    st.integers(1, 40),
    pairs,
    st.integers(1, 9) | st.integers(1, 2**31 - 1),
    st.integers(1, 9) | st.integers(1, 2**31 - 1),
    amounts,
    st.sampled_from([ISSUER, OTHER]),
)
pools = st.builds(
    lambda place, x, y, fee: Pool(f"{place:064x}", ASSETS[place // 5], ASSETS[place % 5], x, y, fee),
    st.sampled_from([first * 5 + second for first in range(5) for second in range(first + 1, 5)]),
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.sampled_from([0, 30, 9_999]),
)
books = st.builds(
    lambda some, others: Book({one.offer_id: one for one in some}, {one.pool_id: one for one in others}),
    st.lists(offers, max_size=25),
    st.lists(pools, max_size=4),
)


def _ways(paths: tuple[PaymentPath, ...], *, receive: bool) -> set[tuple[object, ...]]:
    if receive:
        return {
            (path.source_amount, (path.destination_asset, *path.path[::-1], path.source_asset)[: len(path.path) + 2])
            for path in paths
        }
    return {(path.destination_amount, (path.source_asset, *path.path, path.destination_asset)) for path in paths}


@given(books, amounts, st.sampled_from([None, ISSUER]), st.booleans())
def test_every_path_is_found_with_its_exact_amount(book: Book, amount: int, own: str | None, receive: bool) -> None:
    start, end = ASSETS[0], ASSETS[1]
    find = find_strict_receive if receive else find_strict_send
    found = find(book.graph(), start, amount, [end], source_account=own, limits=ALL)
    assert _ways(found, receive=receive) == book.every(start, amount, end, own, hops=ALL.max_hops, receive=receive)


@given(books, amounts, st.booleans())
def test_the_quick_search_finds_real_paths_and_misses_no_short_one(book: Book, amount: int, receive: bool) -> None:
    graph, find = book.graph(), find_strict_receive if receive else find_strict_send
    quick, every = (
        _ways(find(graph, ASSETS[0], amount, ASSETS[1:3], limits=limits), receive=receive)
        for limits in (replace(ALL, every=False), ALL)
    )
    assert quick <= every
    assert bool(quick) == bool(every)
    best = min if receive else max
    for end in ASSETS[1:3]:
        # A way over two exchanges extends the one way over one exchange, so the best of these is never missed.
        short = [amount for amount, way in every if way[-1] == end and len(way) <= 3]
        if short:
            of_end = [amount for amount, way in quick if way[-1] == end]
            assert best(of_end) == best(best(of_end), best(short))


@given(books, st.lists(offers | st.integers(1, 40) | pools, max_size=12), amounts)
def test_a_graph_moved_on_answers_like_a_new_one(book: Book, changes: list[Offer | int | Pool], amount: int) -> None:
    moved = book.graph()
    put_offers: dict[int, Offer] = {}
    put_pools: dict[str, Pool] = {}
    gone: set[int] = set()
    for change in changes:
        if isinstance(change, Pool):
            put_pools[change.pool_id] = change
        elif isinstance(change, Offer):
            put_offers[change.offer_id] = change
            gone.discard(change.offer_id)
        else:
            put_offers.pop(change, None)
            gone.add(change)
    moved.apply(2, offer_rows(put_offers.values()), sorted(gone), pool_rows(put_pools.values()), [])
    kept = {id_: offer for id_, offer in book.offers.items() if id_ not in gone}
    fresh = Book({**kept, **put_offers}, {**book.pools, **put_pools}).graph(2)
    assert (moved.ledger, moved.kernel.offers, moved.kernel.pools) == (2, fresh.kernel.offers, fresh.kernel.pools)
    for end in ASSETS[1:]:
        assert moved.levels(ASSETS[0], end) == fresh.levels(ASSETS[0], end)
        for find in (find_strict_receive, find_strict_send):
            assert find(moved, ASSETS[0], amount, [end]) == find(fresh, ASSETS[0], amount, [end])


def test_only_the_next_ledger_is_taken() -> None:
    graph = Book({1: Offer(1, ASSETS[0], ASSETS[1], 1, 2, 5)}).graph(7)
    for ledger in (6, 7, 9):
        with pytest.raises(StateError, match=f"ledger {ledger}: the order book stands at ledger 7"):
            graph.apply(ledger, offer_rows([]), [1], pool_rows([]), [])
    with pytest.raises(StateError, match="offer 3: price and amount must be positive"):
        graph.apply(8, offer_rows([Offer(3, ASSETS[0], ASSETS[1], 1, 0, 5)]), [1], pool_rows([]), [])
    assert (graph.ledger, graph.kernel.offers) == (7, 1)


def test_offers_whose_sum_passes_64_bits_are_added_exactly() -> None:
    large = 9_131_689_504_000_000_000
    offers = {id_: Offer(id_, ASSETS[0], ASSETS[1], 2, 2, large) for id_ in (1, 2, 3)}
    (level,) = Book(offers).graph().levels(ASSETS[0], ASSETS[1])
    assert (level.n, level.d, level.amount, level.offers) == (1, 1, 3 * large, 3)
    # A sum that no payment can have ends this exchange only.
    assert find_strict_receive(Book(offers).graph(), ASSETS[0], 2**63 - 1, [ASSETS[1]])[0].source_amount == 2**63 - 1


def test_without_pools_none_is_used() -> None:
    book = Book(pools={"00": Pool("00", ASSETS[0], ASSETS[1], 1_000, 1_000)})
    assert find_strict_send(book.graph(), ASSETS[0], 100, [ASSETS[1]])[0].destination_amount == 90
    assert not find_strict_send(book.graph(), ASSETS[0], 100, [ASSETS[1]], limits=SearchLimits(pools=False))


def test_the_same_asset_on_both_sides_needs_no_exchange() -> None:
    for known in (Book(), Book({1: Offer(1, ASSETS[0], ASSETS[1], 1, 2, 5)})):
        (path,) = find_strict_receive(known.graph(), ASSETS[0], 5, {ASSETS[0]: 5})
        assert (path.source_amount, path.path) == (5, ())
        assert not find_strict_receive(known.graph(), ASSETS[0], 5, {ASSETS[0]: 4})


def test_a_search_ends_at_its_deadline() -> None:
    every_pair = [(first, second) for first in range(60) for second in range(60) if first != second]
    assets = [asset(f"c{number:02}") for number in range(60)]
    book = Book({i: Offer(i, assets[a], assets[b], 1, 1, 10**9) for i, (a, b) in enumerate(every_pair, 1)})
    with pytest.raises(SearchTimeoutError, match=r"no answer within 0\.05 s"):
        find_strict_send(
            book.graph(), assets[0], 10, [assets[1]], limits=SearchLimits(max_hops=5, every=True, seconds=0.05)
        )


@pytest.mark.parametrize("hops", [0, 6])
def test_more_hops_than_a_payment_can_have_are_refused(hops: int) -> None:
    with pytest.raises(UsageError, match=f"max path length {hops}: expected 1 to 5"):
        SearchLimits(max_hops=hops)
