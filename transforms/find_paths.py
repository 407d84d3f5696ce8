"""Payment paths in pipelines: requests answered from the whole graph of offers and pools at a ledger they name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.coders import Coder, FastPrimitivesCoder, PickleCoder
from apache_beam.metrics import Metrics
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec

from aurora_ingest.db.order_book import OrderBookRows
from aurora_ingest.errors import SearchTimeoutError
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.graph import OFFER_COLUMNS, POOL_COLUMNS, OrderBookGraph
from aurora_ingest.orderbook.path_search import PaymentPath, SearchLimits, find_strict_receive, find_strict_send
from aurora_ingest.transforms.lead import CommittedLedger
from aurora_ingest.transforms.ledger_unit import LedgerUnit, batch_from_ipc, batch_to_ipc

LEDGERS_PER_SNAPSHOT: Final = 64
"""After so many ledgers the graph in the state is written anew."""
MOST_WAITING: Final = 10_000
"""Requests that may wait for a ledger; one more is answered at once, at the ledger that there is."""
_PRIMITIVES: Final = FastPrimitivesCoder()


@dataclass(frozen=True)
class PathRequest:
    """A question for ways to pay.

    Attributes:
        name: given back with the answer.
        is_receive: the amount that arrives is fixed; else the one that is paid.
        asset: asset of the fixed amount.
        amount: the fixed amount in stroops, above 0.
        others: assets on the open side, each with the most stroops that may be paid of it, or None; limits count for
            what is paid only.
        source_account: the payer, whose own offers are left out.
        limits: how far to search.
        at_least: do not answer before this ledger.
    """

    name: str
    is_receive: bool
    asset: Asset
    amount: int
    others: tuple[tuple[Asset, int | None], ...]
    source_account: str | None = None
    limits: SearchLimits = field(default_factory=lambda: SearchLimits(seconds=10.0))
    at_least: int = 0


@dataclass(frozen=True)
class PathAnswer:
    """What was found.

    Attributes:
        request: the question.
        ledger: ledger of the offers and pools.
        paths: the ways to pay, best first for each asset.
        timed_out: the search took longer than it may, and there are no paths.
    """

    request: PathRequest
    ledger: int
    paths: tuple[PaymentPath, ...]
    timed_out: bool = False


def answer(graph: OrderBookGraph, request: PathRequest) -> PathAnswer:
    """Search a graph for one request.

    Raises:
        UsageError: the amount is out of range.
    """
    account, limits = request.source_account, request.limits
    try:
        if request.is_receive:
            unlimited = all(limit is None for _, limit in request.others)
            names = [asset for asset, _ in request.others]
            balances = {asset: (1 << 63) - 1 if limit is None else limit for asset, limit in request.others}
            paths = find_strict_receive(
                graph,
                request.asset,
                request.amount,
                names if unlimited else balances,
                source_account=account,
                limits=limits,
            )
        else:
            names = [asset for asset, _ in request.others]
            paths = find_strict_send(graph, request.asset, request.amount, names, source_account=account, limits=limits)
    except SearchTimeoutError:
        return PathAnswer(request, graph.ledger, (), timed_out=True)
    return PathAnswer(request, graph.ledger, paths)


@dataclass(frozen=True)
class GraphChange:
    """What one ledger did to offers and pools: rows that are new or changed, and ids that left."""

    ledger: int
    offers: pa.RecordBatch
    removed_offers: pa.Array
    liquidity_pools: pa.RecordBatch
    removed_pools: pa.Array

    @classmethod
    def of(cls, unit: LedgerUnit) -> GraphChange:
        """Take it out of the unit of a ledger behind ProcessOffers and ProcessLiquidityPools."""
        offers = unit.tables["offers"].select(list(OFFER_COLUMNS))
        pools = unit.tables["liquidity_pools"].select(list(POOL_COLUMNS))
        return cls(
            unit.last_ledger,
            offers,
            _gone(unit.pre["offer"].column("offer_id"), offers.column("offer_id")),
            pools,
            _gone(unit.pre["liquidity_pool"].column("pool_id"), pools.column("id")),
        )

    def applied_to(self, rows: OrderBookRows) -> OrderBookRows:
        """Return the rows after the ledger."""
        offers = _replaced(rows.offers, self.offers, self.removed_offers, "offer_id")
        pools = _replaced(rows.liquidity_pools, self.liquidity_pools, self.removed_pools, "id")
        return OrderBookRows(self.ledger, offers, pools, {})


def _gone(before: pa.Array, after: pa.Array) -> pa.Array:
    return before.filter(pc.invert(pc.is_in(before, after)))


def _replaced(rows: pa.RecordBatch, new: pa.RecordBatch, removed: pa.Array, key: str) -> pa.RecordBatch:
    former = rows.select(new.schema.names).cast(new.schema)
    touched = pa.concat_arrays([new.column(key), removed.cast(new.column(key).type)])
    kept = former.filter(pc.invert(pc.is_in(former.column(key), touched)))
    table = pa.Table.from_batches([kept, new]).combine_chunks()
    return table.to_batches()[0] if table.num_rows else new.slice(0, 0)


class _AnswerFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Answers from one graph, which is built once per worker."""

    def __init__(self) -> None:
        self._graph: OrderBookGraph | None = None

    def process(self, request: PathRequest, rows: OrderBookRows) -> Iterator[PathAnswer]:
        if self._graph is None or self._graph.ledger != rows.ledger:
            self._graph = OrderBookGraph(rows.ledger, rows.offers, rows.liquidity_pools)
        yield answer(self._graph, request)


class _RowsCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """Ledger, offers and pools."""

    def encode(self, value: OrderBookRows) -> bytes:
        """Encode a whole graph."""
        batches = (batch_to_ipc(value.offers), batch_to_ipc(value.liquidity_pools))
        encoded: bytes = _PRIMITIVES.encode((value.ledger, *batches))
        return encoded

    def decode(self, encoded: bytes) -> OrderBookRows:
        """Decode a whole graph."""
        ledger, offers, pools = _PRIMITIVES.decode(encoded)
        return OrderBookRows(ledger, batch_from_ipc(offers), batch_from_ipc(pools), {})


class _StreamFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Moves the graph on and answers from it; one key, so one graph.

    The state has the graph as rows and the ledgers after them; the kernel's graph is made of it when it is not there.
    """

    ROWS = ReadModifyWriteStateSpec("rows", _RowsCoder())
    LEDGERS = BagStateSpec("ledgers", PickleCoder())
    AT = ReadModifyWriteStateSpec("at", PickleCoder())
    WAITING = BagStateSpec("waiting", PickleCoder())

    def __init__(self, read_books: Callable[[], OrderBookRows]) -> None:
        self._read_books = read_books
        self._graph: OrderBookGraph | None = None
        self._bytes = Metrics.distribution("order_book", "graph_bytes")

    def process(
        self,
        keyed: tuple[int, PathRequest | GraphChange],
        rows: Any = beam.DoFn.StateParam(ROWS),  # noqa: B008  # Beam's way to declare state
        ledgers: Any = beam.DoFn.StateParam(LEDGERS),  # noqa: B008
        at: Any = beam.DoFn.StateParam(AT),  # noqa: B008
        waiting: Any = beam.DoFn.StateParam(WAITING),  # noqa: B008
    ) -> Iterator[PathAnswer]:
        element = keyed[1]
        change = element if isinstance(element, GraphChange) else None
        ledger = at.read()
        if ledger is None or (change is not None and change.ledger > ledger + 1):
            ledger = self._begin(rows, ledgers, at)
        graph = self._graph_at(ledger, rows, ledgers)
        if change is not None:
            if change.ledger == ledger + 1:
                self._move(graph, change, rows, ledgers, at)
            yield from self._answered(graph, waiting)
        elif isinstance(element, PathRequest):
            held = list(waiting.read()) if element.at_least > graph.ledger else []
            if element.at_least > graph.ledger and len(held) < MOST_WAITING:
                waiting.add(element)
            else:
                yield answer(graph, element)

    def _begin(self, rows: Any, ledgers: Any, at: Any) -> int:
        read = self._read_books()
        rows.write(read)
        ledgers.clear()
        at.write(read.ledger)
        self._bytes.update(read.offers.nbytes + read.liquidity_pools.nbytes)
        return read.ledger

    def _graph_at(self, ledger: int, rows: Any, ledgers: Any) -> OrderBookGraph:
        if self._graph is None or self._graph.ledger != ledger:
            current = _current(rows.read(), ledgers.read())
            self._graph = OrderBookGraph(current.ledger, current.offers, current.liquidity_pools)
        return self._graph

    def _move(self, graph: OrderBookGraph, change: GraphChange, rows: Any, ledgers: Any, at: Any) -> None:
        # The kernel takes ids as lists; they are those that one ledger removed.
        gone, drained = change.removed_offers.to_pylist(), change.removed_pools.to_pylist()
        graph.apply(change.ledger, change.offers, gone, change.liquidity_pools, drained)
        ledgers.add(change)
        at.write(change.ledger)
        former = rows.read()
        if change.ledger - former.ledger >= LEDGERS_PER_SNAPSHOT:
            current = _current(former, ledgers.read())
            rows.write(current)
            ledgers.clear()
            self._bytes.update(current.offers.nbytes + current.liquidity_pools.nbytes)

    def _answered(self, graph: OrderBookGraph, waiting: Any) -> Iterator[PathAnswer]:
        held = list(waiting.read())
        ready = [request for request in held if request.at_least <= graph.ledger]
        if ready:
            waiting.clear()
            for request in held:
                if request.at_least > graph.ledger:
                    waiting.add(request)
            yield from (answer(graph, request) for request in ready)


def _current(rows: OrderBookRows, ledgers: Iterable[GraphChange]) -> OrderBookRows:
    for change in sorted(ledgers, key=lambda each: each.ledger):
        if change.ledger == rows.ledger + 1:
            rows = change.applied_to(rows)
    return rows


class FindPaths(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """PathRequests → PathAnswers, each exact at the ledger that it names.

    With ``books``, a PCollection of one OrderBookRows: bounded or unbounded requests in any windows that see it, in
    parallel, all at that ledger; each worker holds the whole graph. Without: applied to a pair of PCollections,
    ``(requests, committed ledgers)``, it follows the ledgers with one key: the graph is state (rows, and up to 64
    ledgers after them), read at the beginning and whenever a ledger is missing, and moved on ledger by ledger; each
    request is answered once, at the ledger that the graph stands at when it comes, or when ``at_least`` is there.
    Ledgers that come again are dropped. No windows or watermarks are needed. A search that takes too long is an answer
    without paths; an amount out of range fails.
    """

    def __init__(
        self,
        books: beam.PCollection[OrderBookRows] | None = None,
        *,
        read_books: Callable[[], OrderBookRows] | None = None,
    ) -> None:
        """Keep where the graph comes from.

        Args:
            books: a PCollection of one element.
            read_books: reads the offers and pools of a committed ledger; picklable.

        Raises:
            ValueError: not exactly one of both was given.
        """
        super().__init__()
        if (books is None) == (read_books is None):
            message = "FindPaths needs either books or read_books"
            raise ValueError(message)
        self._books = books
        self._read_books = read_books

    def expand(self, inputs: Any) -> beam.PCollection[PathAnswer]:
        """Wire the steps."""
        if self._read_books is None:
            side = beam.pvalue.AsSingleton(self._books)
            return inputs | "Answer" >> beam.ParDo(_AnswerFn(), side).with_output_types(PathAnswer)
        requests, ledgers = inputs
        keyed = (
            requests | "KeyedRequests" >> beam.Map(_keyed).with_output_types(tuple[int, Any]),
            ledgers | "KeyedLedgers" >> beam.Map(_keyed_change).with_output_types(tuple[int, Any]),
        )
        answering = beam.ParDo(_StreamFn(self._read_books)).with_output_types(PathAnswer)
        return keyed | beam.Flatten() | "AnswerAndFollow" >> answering


def _keyed(request: PathRequest) -> tuple[int, PathRequest]:
    return 0, request


def _keyed_change(committed: CommittedLedger) -> tuple[int, GraphChange]:
    return 0, GraphChange.of(committed.unit)
