"""Child of bench_order_books: moves the books of pairs over ledgers, on a runner or without; prints what it took."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from changing_books import ChangingBooks
from held_elements import TakeHeldFn, hold
from measure import own_peak_rss

from aurora_ingest.transforms.order_book_levels import gathered, level_batch
from aurora_ingest.transforms.orderbook import UpdateOrderBookPerPair
from aurora_ingest.transforms.pair_books import Pair, PairElement, PairState, advance
from aurora_ingest.transforms.pair_chain import Chain, LedgerPairs, link

DEPTH = 10


class Groups:
    """Groups of ledgers as elements of pairs, as a follower has them; the first has the bootstrap in front of it."""

    def __init__(self, offers: int, pairs: int, ledgers: int, changes: int, together: int) -> None:
        """Makes them."""
        books = ChangingBooks(offers, pairs)
        start = books.rows()
        units = list(books.ledgers(ledgers, changes))
        chain = Chain()
        self.bootstrap: list[tuple[Pair, PairElement]] = []
        self.groups: list[list[tuple[Pair, PairElement]]] = []
        self.link_seconds = 0.0
        for first in range(0, ledgers, together):
            began = time.perf_counter()
            some = [LedgerPairs.of(unit) for unit in units[first : first + together]]
            elements, _ = link(chain, some, lambda: start, is_lazy=False)
            took = time.perf_counter() - began
            if first == 0:
                self.bootstrap = [each for each in elements if hasattr(each[1], "book")]
                elements = [each for each in elements if not hasattr(each[1], "book")]
            else:
                self.link_seconds += took
            self.groups.append(elements)
        self.linked_changes = changes * max(ledgers - together, 0)


def update(groups: Groups) -> dict[str, float]:
    """The transform's work without a runner: state in memory, the levels of each group as rows for a database."""
    states: dict[Pair, PairState] = {}
    began = time.perf_counter()
    for pair, element in groups.bootstrap:
        advance(pair, states.setdefault(pair, PairState()), element, DEPTH)
    loaded, loaded_cpu = time.perf_counter(), time.process_time()
    rows = 0
    for elements in groups.groups:
        found = []
        for pair, element in elements:
            state = states.setdefault(pair, PairState())
            found += [(pair, levels) for levels in advance(pair, state, element, DEPTH)]
        rows += level_batch(gathered(found), json=True).num_rows
    seconds = time.perf_counter() - loaded
    sizes = sorted(state.bytes for state in states.values())
    return {
        "seconds": seconds,
        "cpu_seconds": time.process_time() - loaded_cpu,
        "load_seconds": loaded - began,
        "rows": rows,
        "largest_state_bytes": sizes[-1],
        "state_bytes": sum(sizes),
    }


def on_runner(groups: Groups) -> dict[str, float]:
    """UpdateOrderBookPerPair on FnApiRunner; the time of the same pipeline with the bootstrap only is taken off."""
    everything = [each for elements in groups.groups for each in elements]
    _timed(groups.bootstrap[:1])  # the first pipeline of a process pays for much that is loaded only then
    empty, empty_cpu, _ = _timed(groups.bootstrap)
    full, full_cpu, rows = _timed([*groups.bootstrap, *everything])
    return {"seconds": full - empty, "cpu_seconds": full_cpu - empty_cpu, "empty_seconds": empty, "rows": rows}


def _timed(elements: Iterable[tuple[Pair, PairElement]]) -> tuple[float, float, int]:
    hold("elements", elements)
    take = beam.ParDo(TakeHeldFn()).with_output_types(tuple[Pair, PairElement])
    began, began_cpu = time.perf_counter(), time.process_time()
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    _ = pipeline | beam.Create(["elements"], reshuffle=False) | take | UpdateOrderBookPerPair(DEPTH)
    result = pipeline.run()
    result.wait_until_finish()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    told = result.metrics().query(MetricsFilter().with_name("told"))["counters"]
    return seconds, cpu_seconds, sum(counter.committed for counter in told)


MODES: dict[str, Callable[[Groups], dict[str, float]]] = {"update": update, "runner": on_runner}


def main(mode: str, *numbers: str) -> None:
    """Make the ledgers, carry a mode out, and print what it took as JSON."""
    groups = Groups(*map(int, numbers))
    said = MODES[mode](groups)
    rate = groups.linked_changes / groups.link_seconds if groups.link_seconds else 0.0
    print(json.dumps({**said, "link_rate": rate, "peak_rss_bytes": own_peak_rss()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
