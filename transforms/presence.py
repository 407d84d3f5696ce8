"""A node on an engine, as the database's books and other nodes see it: announced for as long as its committer works."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aurora_ingest.db import live, nodes
from aurora_ingest.errors import DatabaseError

_SECONDS: Final = 1.0
_LOG = logging.getLogger(__name__)


class Presence:
    """Keeps a node announced; one thread at a time."""

    def __init__(self, engine: sa.Engine, node: str) -> None:
        """Keeps where and who; nothing is announced yet.

        Args:
            engine: the database.
            node: name of the node.
        """
        self._engine = engine
        self._node = node
        self._stack = ExitStack()
        self._still_announced: Callable[[], None] | None = None
        self._due = 0.0
        self._position: int | None = None
        self._led: int | None = None

    def moved(self, position: int, led: Sequence[int]) -> None:
        """Remembers how far the node is, for the next note.

        Args:
            position: last ledger that it has seen committed.
            led: ledgers that it has just written.
        """
        self._position = position
        self._led = led[-1] if led else self._led

    def keep(self) -> bool:
        """Announces the node, once a second if it is already; tells whether it is announced.

        False while history beyond the cursor is being written by a reingest, and while the database does not answer.
        """
        if time.monotonic() < self._due:
            return self._still_announced is not None
        self._due = time.monotonic() + _SECONDS
        try:
            if self._still_announced is None:
                self._still_announced = self._stack.enter_context(live.following(self._engine))
            self._still_announced()
            nodes.note(self._engine, self._node, self._position, self._led)
        except (DatabaseError, DBAPIError) as error:
            _LOG.warning("Node waits: %s", error)
            self._withdraw()
        return self._still_announced is not None

    def end(self) -> None:
        """Takes the node out of the books."""
        self._withdraw()
        with suppress(DBAPIError):
            nodes.leave(self._engine, self._node)

    def _withdraw(self) -> None:
        self._still_announced = None
        with suppress(DBAPIError):
            self._stack.close()
