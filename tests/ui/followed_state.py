"""Databases behind the page: the small network followed for some ledgers, its order books kept, its nodes noted."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

import closed_network
from aurora_ingest.db import nodes
from aurora_ingest.db.engine import clock, writing
from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.db.lead import Committer, Outcome
from aurora_ingest.db.lead_books import ingest_commits, ingest_nodes
from aurora_ingest.db.order_book import read_order_book
from aurora_ingest.db.order_book_tables import order_book_levels
from aurora_ingest.db.verifier_books import SOUND
from aurora_ingest.db.verifier_books import note as note_verification
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.graph import Level, OrderBookGraph

NODES = ("one", "two", "three")
DEPTH = 20


def follow(engine: sa.Engine, ledgers: Iterable[int], *, books: bool = True) -> None:
    """Commits ledgers as three nodes in turn would, each with the order books after it."""
    passphrase = closed_network.NETWORK.passphrase
    committers = {
        name: Committer(engine, node=name, network_passphrase=passphrase, deadline_seconds=60.0) for name in NODES
    }
    for ledger in ledgers:
        leader = NODES[ledger * 7 // 5 % len(NODES)]
        assert committers[leader].commit([closed_network.prepared()[ledger]]).outcome is Outcome.LED
        if books:
            keep_books(engine, ledger)
        for name in NODES:
            nodes.note(engine, name, ledger, ledger if name == leader else None)


def spread_commits(engine: sa.Engine, seconds: float = 5.0) -> None:
    """Sets the times of commits so far as if a ledger had closed about every five seconds, the last just now."""
    with writing(engine) as connection:
        now = clock(connection)
        ledgers = connection.execute(sa.select(ingest_commits.c.ledger).order_by(ingest_commits.c.ledger)).scalars()
        for back, ledger in enumerate(reversed(ledgers.all())):
            # A little unrest, and one pause, as real networks have them.
            unrest = (ledger * 37 % 11 - 5) / 10
            at = now - (back * seconds + unrest + (9.0 if ledger < 80 else 0.0))
            this = ingest_commits.c.ledger == ledger
            connection.execute(sa.update(ingest_commits).where(this).values(committed_at=at))


def keep_books(engine: sa.Engine, ledger: int) -> None:
    """Writes the books of all pairs that differ from the last ones kept."""
    rows = read_order_book(engine)
    assert rows.ledger == ledger
    graph = OrderBookGraph(ledger, rows.offers, rows.liquidity_pools)
    sides = zip(*(rows.offers.column(name).to_pylist() for name in ("selling_asset", "buying_asset")), strict=True)
    pairs = {tuple(sorted(pair, key=base64.b64decode)) for pair in sides}
    with writing(engine) as connection:
        for base, counter in sorted(pairs):
            row = _row(graph, base, counter)
            if _last(connection, base, counter) != (row["bids"], row["asks"]):
                connection.execute(sa.insert(order_book_levels).values(**row))
        counts = {"rows_in": len(pairs), "rows_out": len(pairs), "quarantined": 0}
        connection.execute(
            sa.insert(ingest_ledger_counts).values(ledger_sequence=ledger, table_name=order_book_levels.name, **counts)
        )


def _row(graph: OrderBookGraph, base: str, counter: str) -> dict[str, Any]:
    one, other = Asset.of_key(base), Asset.of_key(counter)
    asks = graph.levels(one, other, DEPTH)
    bids = [Level(level.d, level.n, level.amount, level.offers) for level in graph.levels(other, one, DEPTH)]
    row: dict[str, Any] = {
        "ledger_sequence": graph.ledger,
        "closed_at": datetime.fromtimestamp(1_700_000_000 + 5 * graph.ledger, timezone.utc).replace(tzinfo=None),
        "base_asset": base,
        "counter_asset": counter,
        "base_asset_type": 0 if one.kind == "native" else 1,
        "counter_asset_type": 1,
    }
    for name, levels in (("bid", bids), ("ask", asks)):
        row |= {
            f"{name}s": _json(levels),
            f"{name}_offers": sum(level.offers for level in levels),
            f"{name}_amount": str(sum(level.amount for level in levels)),
            f"best_{name}_n": levels[0].n if levels else None,
            f"best_{name}_d": levels[0].d if levels else None,
        }
    return row


def _json(levels: Sequence[Level]) -> str:
    return json.dumps(
        [
            {"price_n": level.n, "price_d": level.d, "amount": str(level.amount), "offers": level.offers}
            for level in levels
        ]
    )


def _last(connection: sa.Connection, base: str, counter: str) -> tuple[str, str] | None:
    columns = order_book_levels.c
    query = sa.select(columns.bids, columns.asks).where(columns.base_asset == base, columns.counter_asset == counter)
    row = connection.execute(query.order_by(columns.ledger_sequence.desc()).limit(1)).first()
    return None if row is None else (row.bids, row.asks)


def silence(engine: sa.Engine, name: str, seconds: float) -> None:
    """Lets a node not have been heard of for a time."""
    with writing(engine) as connection:
        seen_at = clock(connection) - seconds
        connection.execute(sa.update(ingest_nodes).where(ingest_nodes.c.node == name).values(seen_at=seen_at))


def verified(engine: sa.Engine, checkpoint: int) -> None:
    """Notes that the state of a checkpoint was found sound."""
    with writing(engine) as connection:
        note_verification(connection, checkpoint, "two", seconds=1.25, outcome=SOUND)
