"""Databases behind the page: the small network followed for some ledgers, its order books kept, its nodes noted."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

import closed_network
from aurora_ingest import cli
from aurora_ingest.db import nodes
from aurora_ingest.db.engine import clock, writing
from aurora_ingest.db.lead import Committer, Outcome
from aurora_ingest.db.lead_books import ingest_nodes
from aurora_ingest.db.order_book_tables import order_book_levels
from aurora_ingest.db.verifier_books import SOUND
from aurora_ingest.db.verifier_books import note as note_verification
from aurora_ingest.ledger.asset import Asset

NODES = ("one", "two", "three")


def follow(engine: sa.Engine, ledgers: Iterable[int]) -> None:
    """Commits ledgers as three nodes in turn would."""
    passphrase = closed_network.NETWORK.passphrase
    committers = {
        name: Committer(engine, node=name, network_passphrase=passphrase, deadline_seconds=60.0) for name in NODES
    }
    for ledger in ledgers:
        leader = NODES[ledger * 7 // 5 % len(NODES)]
        assert committers[leader].commit([closed_network.prepared()[ledger]]).outcome is Outcome.LED
        for name in NODES:
            nodes.note(engine, name, ledger, ledger if name == leader else None)


def write_books(engine: sa.Engine, first: int, last: int) -> None:
    """Writes the history of order books, as the command does."""
    url = engine.url.render_as_string(hide_password=False)
    network = ["--network", "standalone", "--checkpoint-frequency", "8"]
    source = ["--history-archive-url", str(closed_network.ARCHIVE), "--ledgers", str(closed_network.STREAM)]
    ledgers = ["--from", str(first), "--to", str(last), "--depth", "20"]
    command = ["write-order-books", *network, *source, *ledgers, "--db-url", url, "--log-level", "warning"]
    assert cli.run(command) == 0


def kept_pair(engine: sa.Engine) -> str:
    """The pair with most books in the history, as the page's address names it."""
    columns = order_book_levels.c
    query = sa.select(columns.base_asset, columns.counter_asset).group_by(columns.base_asset, columns.counter_asset)
    with engine.connect() as connection:
        base, counter = connection.execute(query.order_by(sa.func.count().desc()).limit(1)).one()
    return f"base={Asset.of_key(base)}&counter={Asset.of_key(counter)}"


def silence(engine: sa.Engine, name: str, seconds: float) -> None:
    """Lets a node not have been heard of for a time."""
    with writing(engine) as connection:
        seen_at = clock(connection) - seconds
        connection.execute(sa.update(ingest_nodes).where(ingest_nodes.c.node == name).values(seen_at=seen_at))


def verified(engine: sa.Engine, checkpoint: int) -> None:
    """Notes that the state of a checkpoint was found sound."""
    with writing(engine) as connection:
        note_verification(connection, checkpoint, "two", seconds=1.25, outcome=SOUND)
