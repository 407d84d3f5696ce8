"""The nodes that follow a database: each notes that it lives and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aurora_ingest.db import cursor
from aurora_ingest.db.engine import clock, writing
from aurora_ingest.db.lead_books import ingest_nodes
from aurora_ingest.errors import UsageError


@dataclass(frozen=True)
class Node:
    """A node that follows, or did.

    Attributes:
        node: its name.
        version: version of the rules that it writes by.
        seconds_silent: time since it was last heard of, by the database's clock.
        position: last ledger that it has seen committed, None before the first one.
        led: last ledger that it wrote, None before the first one.
    """

    node: str
    version: int
    seconds_silent: float
    position: int | None
    led: int | None


def note(engine: sa.Engine, node: str, position: int | None, led: int | None) -> None:
    """Notes that a node lives.

    Args:
        engine: the database.
        node: its name.
        position: last ledger that it has seen committed.
        led: last ledger that it wrote; None leaves an older note of it.
    """
    with writing(engine) as connection:
        now = clock(connection)
        values = {"version": cursor.CURRENT_VERSION, "seen_at": now, "position": position}
        if led is not None:
            values["led"] = led
        this = ingest_nodes.c.node == node
        if connection.execute(sa.update(ingest_nodes).where(this).values(**values)).rowcount == 0:
            connection.execute(sa.insert(ingest_nodes).values(node=node, started_at=now, **values))


def leave(engine: sa.Engine, node: str) -> None:
    """Takes a node that stops out of the books."""
    with writing(engine) as connection:
        connection.execute(sa.delete(ingest_nodes).where(ingest_nodes.c.node == node))


def read_nodes(connection: sa.Connection) -> tuple[Node, ...]:
    """Returns all nodes, the one heard of last first."""
    books = ingest_nodes.c
    silent = (clock(connection) - books.seen_at).label("silent")
    query = sa.select(books.node, books.version, silent, books.position, books.led).order_by(silent, books.node)
    rows = connection.execute(query).all()
    return tuple(Node(row.node, row.version, max(row.silent, 0.0), row.position, row.led) for row in rows)


def agree_on_history(engine: sa.Engine, node: str, tables: Sequence[str], alive_seconds: float = 30.0) -> None:
    """Makes sure that all nodes write the same history tables; without others, this node decides.

    Raises:
        UsageError: nodes that are alive write others: history would depend on who leads.
    """
    try:
        _agree(engine, node, tables, alive_seconds)
    except IntegrityError:
        _agree(engine, node, tables, alive_seconds)  # another node was first to write the row; now it is there


def _agree(engine: sa.Engine, node: str, tables: Sequence[str], alive_seconds: float) -> None:
    mine = ",".join(tables) or "none"
    with writing(engine) as connection:
        theirs = cursor.read(connection, cursor.HISTORY_TABLES, lock=True)
        if theirs == mine:
            return
        others = (each for each in read_nodes(connection) if each.node != node)
        alive = [each for each in others if each.seconds_silent < alive_seconds]
        if theirs is not None and alive:
            raise UsageError(
                f"node {alive[0].node} and others write the history tables {theirs}, this one would write {mine}: "
                "give every node the same --history-tables, or stop the others first"
            )
        cursor.write(connection, cursor.HISTORY_TABLES, mine)
