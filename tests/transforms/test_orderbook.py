"""Order books and paths as transforms on a runner: keyed state, bounded and over many bundles."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

import apache_beam as beam
import pytest
from apache_beam.testing import test_pipeline, test_stream
from apache_beam.testing.util import assert_that

from aurora_ingest.db.order_book import OrderBookRows
from aurora_ingest.orderbook.graph import OrderBookGraph
from aurora_ingest.orderbook.path_search import SearchLimits
from aurora_ingest.transforms import find_paths
from aurora_ingest.transforms.find_paths import FindPaths, GraphChange, PathAnswer, PathRequest, answer
from aurora_ingest.transforms.lead import CommittedLedger
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from aurora_ingest.transforms.order_book_levels import gathered, level_batch
from aurora_ingest.transforms.orderbook import CHANGES, MARKS, ExtractPairChanges, UpdateOrderBookPerPair
from aurora_ingest.transforms.pair_books import Pair, PairElement
from aurora_ingest.transforms.pair_chain import Chain, LedgerMark, LedgerPairs, link
from orderbook.book_history import Rows, expected_rows, shown_rows
from orderbook.changed_units import change_unit
from orderbook.order_books import Offer, Pool, asset, offer_rows, pool_rows
from orderbook.plain_levels import PlainState
from support import EagerPipeline

_ASSETS = (asset("native"), asset("A"), asset("B"))
_POOL = "ab" * 32
_FIRST = 11
_DEPTH = 2


def _states() -> dict[int, PlainState]:
    """Six ledgers in which offers come, change, leave and change sides, and a pool moves."""
    native, a, b = _ASSETS
    steps = [
        {1: (native, a, 2, 1, 10), 2: (a, native, 1, 3, 10)},
        {1: (native, a, 2, 1, 7), 2: (a, native, 1, 3, 10), 3: (b, a, 1, 1, 5)},
        {2: (native, a, 1, 1, 4), 3: (b, a, 1, 1, 5)},
        {2: (native, a, 1, 1, 4), 3: (b, a, 1, 1, 5), 4: (b, a, 1, 1, 6)},
        {4: (b, a, 1, 1, 6)},
        {4: (b, a, 1, 1, 1), 5: (native, b, 1, 2, 9)},
    ]
    states = {}
    for ledger, offers in enumerate(steps, _FIRST - 1):
        pool = Pool(_POOL, native, a, 100 + ledger // 2, 200 - ledger)
        states[ledger] = PlainState({key: Offer(key, *values) for key, values in offers.items()}, {_POOL: pool})
    return states


STATES = _states()
UNITS = [change_unit(ledger, STATES[ledger - 1], STATES[ledger]) for ledger in list(STATES)[1:]]


@dataclasses.dataclass(frozen=True)
class BooksAt:
    """Books of a ledger; picklable."""

    ledger: int

    def __call__(self) -> OrderBookRows:
        state = STATES[self.ledger]
        offers, pools = offer_rows(state.offers.values()), pool_rows(state.pools.values())
        return OrderBookRows(self.ledger, offers, pools, {})


def _shown(levels: list[object]) -> Rows:
    rows = ((each.pair, row) for each in levels for row in each.levels)  # type: ignore[attr-defined]
    return shown_rows(level_batch(gathered(rows)).to_pylist())


def _pair_elements() -> list[tuple[Pair, PairElement]]:
    elements, _ = link(Chain(), [LedgerPairs.of(unit) for unit in UNITS], BooksAt(_FIRST - 1), is_lazy=False)
    split = []
    for pair, element in elements:
        steps = getattr(element, "steps", None)
        parts = [element] if steps is None else [dataclasses.replace(element, steps=(step,)) for step in steps]  # type: ignore[call-arg]
        split += [(pair, part) for part in parts]
    return split


def test_pairs_are_updated_from_elements_in_any_order() -> None:
    elements = _pair_elements() * 2
    random.Random(5).shuffle(elements)
    levels = EagerPipeline().run(elements, UpdateOrderBookPerPair(_DEPTH))
    assert _shown(levels) == expected_rows(STATES, _DEPTH)


def test_state_lasts_over_bundles() -> None:
    """Every element is a bundle of its own, the last ones first; of the local runners only this one has TestStream."""
    stream = test_stream.TestStream()
    for element in reversed(_pair_elements()):
        stream = stream.add_elements([element])
    expected = expected_rows(STATES, _DEPTH)

    def same(levels: list[object]) -> None:
        assert _shown(levels) == expected

    with test_pipeline.TestPipeline(runner="BundleBasedDirectRunner") as pipeline:
        typed = beam.Map(lambda element: element).with_output_types(tuple[Pair, PairElement])
        levels = pipeline | stream.advance_watermark_to_infinity() | typed | UpdateOrderBookPerPair(_DEPTH)
        assert_that(levels, same)


def test_ledgers_become_changes_and_marks() -> None:
    def graph(pipeline: beam.Pipeline) -> beam.PCollection:
        units = pipeline | beam.Create(UNITS).with_output_types(LedgerUnit)
        extracted = units | ExtractPairChanges(BooksAt(UNITS[-1].last_ledger))
        levels = extracted[CHANGES] | UpdateOrderBookPerPair(_DEPTH)
        return (levels, extracted[MARKS]) | beam.Flatten()

    found = EagerPipeline().graph(graph)
    marks = [each for each in found if isinstance(each, LedgerMark)]
    expected = expected_rows(STATES, _DEPTH)
    assert _shown([each for each in found if not isinstance(each, LedgerMark)]) == expected
    assert sorted((mark.ledger, mark.pairs) for mark in marks) == [
        (ledger, sum(key[0] == ledger for key in expected)) for ledger in list(STATES)[1:]
    ]


# --- Paths ------------------------------------------------------------------------------------------------------------
def _request(name: str, **more: object) -> PathRequest:
    native, a, b = _ASSETS
    return PathRequest(name, False, native, 3, ((a, None), (b, None)), **more)  # type: ignore[arg-type]


def _committed(unit: LedgerUnit) -> CommittedLedger:
    """The unit as the committer passes it on: with the rows of both tables."""
    state = STATES[unit.last_ledger]
    changed = set(unit.post["offer"].column("offer_id").to_pylist())
    offers = offer_rows(offer for offer in state.offers.values() if offer.offer_id in changed)
    tables = {"offers": offers, "liquidity_pools": pool_rows(state.pools.values())}
    return CommittedLedger(unit.last_ledger, True, dataclasses.replace(unit, tables=tables))


def _graph(ledger: int) -> OrderBookGraph:
    rows = BooksAt(ledger)()
    return OrderBookGraph(ledger, rows.offers, rows.liquidity_pools)


def test_requests_are_answered_at_one_ledger() -> None:
    native, a, _ = _ASSETS
    requests = [
        _request("send"),
        PathRequest("receive", True, a, 2, ((native, None),)),
        PathRequest("poor", True, a, 2, ((native, 0),)),
    ]

    def graph(pipeline: beam.Pipeline) -> beam.PCollection:
        books = pipeline | "Books" >> beam.Create([BooksAt(12)()])
        return pipeline | "Requests" >> beam.Create(requests) | FindPaths(books)

    answers = {each.request.name: each for each in EagerPipeline().graph(graph)}
    assert {each.ledger for each in answers.values()} == {12}
    for request in requests:
        assert answers[request.name] == answer(_graph(12), request)
    assert answers["send"].paths
    assert answers["receive"].paths
    assert answers["poor"].paths == ()


def test_a_search_that_takes_too_long_is_an_answer_without_paths() -> None:
    assets = [asset("native"), *(asset(f"X{number}") for number in range(14))]
    pairs = [(one, other) for one in assets for other in assets if one != other]
    offers = offer_rows(Offer(number, *pair, 1, 1, 10) for number, pair in enumerate(pairs, 1))
    graph = OrderBookGraph(9, offers, pool_rows([]))
    limits = SearchLimits(seconds=0.0, every=True)
    found = answer(graph, PathRequest("late", False, assets[0], 3, ((assets[1], None),), limits=limits))
    assert (found.ledger, found.paths, found.timed_out) == (9, (), True)


def _stream(steps: list[PathRequest | LedgerUnit], check: Callable[[list[PathAnswer]], None], at: int) -> None:
    """Requests and ledgers in this order, each in a bundle of its own."""
    stream = test_stream.TestStream()
    for step in steps:
        element = _committed(step) if isinstance(step, LedgerUnit) else step
        stream = stream.add_elements([element])
    with test_pipeline.TestPipeline(runner="BundleBasedDirectRunner") as pipeline:
        everything = pipeline | stream.advance_watermark_to_infinity()
        requests = everything | "Requests" >> beam.Filter(lambda each: isinstance(each, PathRequest))
        ledgers = everything | "Ledgers" >> beam.Filter(lambda each: isinstance(each, CommittedLedger))
        assert_that((requests, ledgers) | FindPaths(read_books=BooksAt(at)), check)


@pytest.mark.parametrize("kept", [1, 64])
def test_requests_are_answered_at_the_ledger_that_the_graph_stands_at(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With snapshots in the state after every ledger, or none."""
    monkeypatch.setattr(find_paths, "LEDGERS_PER_SNAPSHOT", kept)
    steps: list[PathRequest | LedgerUnit] = [_request("early"), _request("wait", at_least=14)]
    for unit in UNITS:
        steps += [unit, _request(f"after {unit.last_ledger}"), unit]

    def check(answers: list[PathAnswer]) -> None:
        found = {each.request.name: each for each in answers}
        assert len(found) == len(answers) == 2 + len(UNITS)
        places = {"early": 10, "wait": 14, **{f"after {unit.last_ledger}": unit.last_ledger for unit in UNITS}}
        assert {name: each.ledger for name, each in found.items()} == places
        for name, ledger in places.items():
            assert found[name] == answer(_graph(ledger), found[name].request)

    _stream(steps, check, 10)


def test_a_missing_ledger_has_the_books_read_anew() -> None:
    def check(answers: list[PathAnswer]) -> None:
        assert {each.request.name: each.ledger for each in answers} == {"before": 15, "after": 15}

    _stream([_request("before"), UNITS[0], UNITS[-1], _request("after")], check, 15)


def test_rows_follow_ledgers() -> None:
    """The rows in the state are those of the tables, whatever becomes of the kernel's graph."""
    rows = BooksAt(_FIRST - 1)()
    for unit in UNITS:
        rows = GraphChange.of(_committed(unit).unit).applied_to(rows)
        expected = BooksAt(unit.last_ledger)()
        assert rows.ledger == unit.last_ledger
        assert rows.offers.sort_by("offer_id").to_pylist() == expected.offers.sort_by("offer_id").to_pylist()
        assert rows.liquidity_pools.to_pylist() == expected.liquidity_pools.to_pylist()


def test_one_place_for_the_graph() -> None:
    with pytest.raises(ValueError, match="either books or read_books"):
        FindPaths()
