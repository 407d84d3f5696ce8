"""The books of single pairs: what travels to a pair, what a pair keeps, and how it moves from ledger to ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
from apache_beam.coders import Coder, FastPrimitivesCoder, registry

from aurora_ingest import _kernel
from aurora_ingest.errors import StateError
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.graph import pool_reserves
from aurora_ingest.transforms.ledger_unit import LedgerUnit

Pair = tuple[str, str]
"""Base and counter asset as base64 XDR; the base asset is the lesser one in stellar-core's order."""

MOST_BOOK_BYTES: Final = 64 << 20
"""Largest book of a pair: 2.8 million offers. A larger one is given up until the next bootstrap."""
MOST_WAITING_BYTES: Final = 8 << 20
"""Most bytes of changes that wait for their bootstrap or for the change before them."""

_PRIMITIVES: Final = FastPrimitivesCoder()


@dataclass(frozen=True)
class PairElement:
    """What travels to a pair.

    Attributes:
        epoch: number of the bootstrap that it is or follows; what is of an older one counts no more.
    """

    epoch: int


@dataclass(frozen=True)
class PairBook(PairElement):
    """A bootstrap of a pair, or a part of it.

    Attributes:
        ledger: ledger that the book stands at.
        part: number of the part, from 0.
        parts: how many parts there are.
        book: bytes of the kernel's ``split_books``.
    """

    ledger: int
    part: int
    parts: int
    book: bytes


@dataclass(frozen=True)
class PairStep:
    """What one ledger did to a pair.

    Attributes:
        ledger: ledger sequence.
        since: the ledger before it that changed the pair, or the bootstrap's.
        closed_at: when the ledger closed, seconds since 1970.
        change: bytes of the kernel's ``split_changes``.
    """

    ledger: int
    since: int
    closed_at: int
    change: bytes


@dataclass(frozen=True)
class PairChanges(PairElement):
    """What some ledgers did to a pair.

    Attributes:
        steps: the ledgers, each once.
    """

    steps: tuple[PairStep, ...]


@dataclass(frozen=True)
class PairLevels:
    """The book of a pair after a ledger, added up.

    Attributes:
        ledger: ledger sequence.
        closed_at: when it closed, seconds since 1970.
        levels: bytes for the kernel's ``level_rows``; None where the book is lost.
    """

    ledger: int
    closed_at: int
    levels: bytes | None


@dataclass
class PairState:
    """What is kept of a pair.

    Attributes:
        epoch: the bootstrap that counts, -1 before the first.
        ledger: the last ledger that is in the book, None before the bootstrap is complete.
        book: bytes of the kernel.
        parts: parts of a bootstrap that is not complete.
        waiting: changes that cannot be applied yet, by ledger. Offers that leave stand in them as well, so that a
            bootstrap that comes later does not bring them back.
        lost: the book was given up.
    """

    epoch: int = -1
    ledger: int | None = None
    book: bytes = b""
    parts: dict[int, bytes] = field(default_factory=dict)
    waiting: dict[int, PairStep] = field(default_factory=dict)
    lost: bool = False

    @property
    def bytes(self) -> int:
        """How much is kept."""
        parts = sum(map(len, self.parts.values()))
        return len(self.book) + parts + sum(len(step.change) for step in self.waiting.values())


EMPTY_BOOK: Final = _kernel.join_books([])


def advance(pair: Pair, state: PairState, element: PairElement, depth: int) -> list[PairLevels]:
    """Take one element into a pair's state, and move the book on as far as it goes.

    Elements may come in any order and more than once; the levels after a ledger are the same whatever the order, and
    come once.

    Args:
        pair: the pair, for messages.
        state: what is kept of it; changed in place.
        element: a bootstrap or changes.
        depth: most prices on each side.

    Returns:
        The levels after each ledger that is in the book now, ascending.

    Raises:
        StateError: a change does not fit the book.
    """
    if element.epoch < state.epoch:
        return []
    if element.epoch > state.epoch:
        fresh = PairState(element.epoch)
        for each in dataclasses.fields(fresh):
            setattr(state, each.name, getattr(fresh, each.name))
    if isinstance(element, PairBook):
        _take_part(state, element)
    elif isinstance(element, PairChanges):
        for step in element.steps:
            if state.ledger is None or step.ledger > state.ledger:
                state.waiting.setdefault(step.ledger, step)
    return _moved(pair, state, depth)


def _take_part(state: PairState, element: PairBook) -> None:
    if state.ledger is not None or state.lost:
        return  # it comes again
    state.parts[element.part] = element.book
    if len(state.parts) < element.parts:
        return
    state.book = _kernel.join_books([state.parts[part] for part in sorted(state.parts)])
    state.ledger, state.parts = element.ledger, {}
    for ledger in [ledger for ledger in state.waiting if ledger <= element.ledger]:
        del state.waiting[ledger]


def _moved(pair: Pair, state: PairState, depth: int) -> list[PairLevels]:
    if state.lost or _is_too_large(state):
        return _given_up(state)
    if state.ledger is None:
        return []
    chain: list[PairStep] = []
    at = state.ledger
    for ledger in sorted(state.waiting):
        step = state.waiting[ledger]
        if step.since > at:
            break
        chain.append(step)
        at = ledger
    if not chain:
        return []
    try:
        state.book, levels = _kernel.move_book(state.book, [step.change for step in chain], depth=depth)
    except _kernel.OrderBookError as error:
        reason, *place = error.args
        ledger = chain[place[0]].ledger if place else chain[0].ledger
        message = f"order book of {pair_name(pair)}: ledger {ledger}: {reason}"
        raise StateError(message) from error
    state.ledger = at
    for step in chain:
        del state.waiting[step.ledger]
    return [PairLevels(step.ledger, step.closed_at, row) for step, row in zip(chain, levels, strict=True)]


def _is_too_large(state: PairState) -> bool:
    waiting = sum(len(step.change) for step in state.waiting.values())
    return state.bytes - waiting > MOST_BOOK_BYTES or waiting > MOST_WAITING_BYTES


def _given_up(state: PairState) -> list[PairLevels]:
    """Drops the book until the next bootstrap; the ledgers that came are told as lost."""
    lost = [PairLevels(ledger, state.waiting[ledger].closed_at, None) for ledger in sorted(state.waiting)]
    if lost:
        state.ledger = max(state.ledger or 0, lost[-1].ledger)
    state.lost, state.book, state.parts, state.waiting = True, b"", {}, {}
    return lost


def pair_name(pair: Pair) -> str:
    """Return a pair for people."""
    return " / ".join(str(Asset.of_key(asset)) for asset in pair)


def books_of(offers: pa.RecordBatch, liquidity_pools: pa.RecordBatch) -> dict[Pair, bytes]:
    """Split a whole state, or a part of it, into the books of its pairs.

    Args:
        offers: rows of table ``offers`` with at least ``graph.OFFER_COLUMNS``.
        liquidity_pools: rows of table ``liquidity_pools`` with at least ``graph.POOL_COLUMNS``.

    Raises:
        StateError: an offer or pool that cannot be traded with.
    """
    try:
        split = pa.record_batch(_kernel.split_books(_offers(offers), pool_reserves(liquidity_pools)))
    except _kernel.OrderBookError as error:
        message = f"order book: {error}"
        raise StateError(message) from error
    names = (split.column(name).to_pylist() for name in ("base_asset", "counter_asset", "book"))  # pairs, not offers
    return {(base, counter): book for base, counter, book in zip(*names, strict=True)}


def changed_pairs(unit: LedgerUnit) -> pa.RecordBatch:
    """Return what a ledger did to each pair: base_asset, counter_asset, change, entries; in the order of the pairs.

    Args:
        unit: unit of one ledger, compacted, with the entry tables ``offer`` and ``liquidity_pool``.

    Raises:
        StateError: an offer or pool that cannot be traded with.
    """
    try:
        return pa.record_batch(
            _kernel.split_changes(
                _changed_offers(unit.pre),
                _changed_offers(unit.post),
                _changed_pools(unit.pre),
                _changed_pools(unit.post),
            )
        )
    except _kernel.OrderBookError as error:
        message = f"order book: ledger {unit.last_ledger}: {error}"
        raise StateError(message) from error


_OFFER_TYPES: Final = {
    "offer_id": pa.int64(),
    "selling_asset": pa.string(),
    "buying_asset": pa.string(),
    "amount": pa.int64(),
    "pricen": pa.int32(),
    "priced": pa.int32(),
}
_POOL_TYPES: Final = {
    "id": pa.string(),
    "asset_a": pa.string(),
    "asset_b": pa.string(),
    "reserve_a": pa.int64(),
    "reserve_b": pa.int64(),
    "fee": pa.int32(),
}
_ENTRY_NAMES: Final = {
    "selling_asset": "selling_asset_base64",
    "buying_asset": "buying_asset_base64",
    "pricen": "price_n",
    "priced": "price_d",
    "id": "pool_id",
    "asset_a": "a_asset_base64",
    "asset_b": "b_asset_base64",
}


def _offers(rows: pa.RecordBatch) -> pa.RecordBatch:
    return _selected(rows, _OFFER_TYPES, {})


def _changed_offers(side: Mapping[str, pa.RecordBatch]) -> pa.RecordBatch:
    return _selected(side["offer"], _OFFER_TYPES, _ENTRY_NAMES)


def _changed_pools(side: Mapping[str, pa.RecordBatch]) -> pa.RecordBatch:
    return _selected(side["liquidity_pool"], _POOL_TYPES, _ENTRY_NAMES)


def _selected(rows: pa.RecordBatch, types: Mapping[str, pa.DataType], names: Mapping[str, str]) -> pa.RecordBatch:
    columns = [rows.column(names.get(name, name)).cast(kind) for name, kind in types.items()]
    return pa.record_batch(columns, names=list(types))


class PairElementCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """Bootstraps, changes and levels of pairs as tuples of primitives."""

    def encode(self, value: PairElement) -> bytes:
        """Encode one element."""
        encoded: bytes = _PRIMITIVES.encode(_flat(value))
        return encoded

    def decode(self, encoded: bytes) -> PairElement:
        """Decode one element."""
        kind, *values = _PRIMITIVES.decode(encoded)
        if kind == "book":
            return PairBook(*values)
        epoch, steps = values
        return PairChanges(epoch, tuple(PairStep(*step) for step in steps))

    def estimate_size(self, value: PairElement) -> int:
        """Tell the size in bytes without encoding."""
        if isinstance(value, PairBook):
            return len(value.book)
        return sum(len(step.change) for step in value.steps) if isinstance(value, PairChanges) else 0

    def is_deterministic(self) -> bool:
        """Equal elements have equal bytes."""
        return True


class PairStateCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """The state of a pair as tuples of primitives."""

    def encode(self, value: PairState) -> bytes:
        """Encode one state."""
        waiting = [_step(step) for step in value.waiting.values()]
        parts = list(value.parts.items())
        encoded: bytes = _PRIMITIVES.encode((value.epoch, value.ledger, value.book, parts, waiting, value.lost))
        return encoded

    def decode(self, encoded: bytes) -> PairState:
        """Decode one state."""
        epoch, ledger, book, parts, waiting, lost = _PRIMITIVES.decode(encoded)
        steps = [PairStep(*step) for step in waiting]
        return PairState(epoch, ledger, book, dict(parts), {step.ledger: step for step in steps}, lost)


def _flat(value: PairElement) -> tuple[object, ...]:
    if isinstance(value, PairBook):
        return ("book", value.epoch, value.ledger, value.part, value.parts, value.book)
    assert isinstance(value, PairChanges)
    return ("changes", value.epoch, [_step(step) for step in value.steps])


def _step(step: PairStep) -> tuple[int, int, int, bytes]:
    return (step.ledger, step.since, step.closed_at, step.change)


registry.register_coder(PairElement, PairElementCoder)
