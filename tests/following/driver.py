"""A node that follows, in a process of its own, with places at which it can be struck; run by the harness in nodes.py.

An order to strike is a file in the orders folder. The first node to reach the place takes it, by a rename, which
succeeds for one of them only; so every strike is proved to have hit, and where.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aurora_ingest import cli
from aurora_ingest.db import cursor, lead, load
from aurora_ingest.transforms import publish

INSIDE_COPY: Final = "inside-copy"
AFTER_LOCK: Final = "after-lock"
BEFORE_COMMIT: Final = "before-commit"
AFTER_COMMIT: Final = "after-commit"
BEFORE_PUBLISH: Final = "before-publish"
LEADING_PLACES: Final = (INSIDE_COPY, AFTER_LOCK, BEFORE_COMMIT, AFTER_COMMIT)
HOLD: Final = "hold"


@dataclass(frozen=True)
class Habits:
    """What makes a node of a test other than one at work.

    Attributes:
        name: of the node.
        orders: folder of the orders to strike.
        version: the version of the rules that it claims to have.
        comes_second: it commits nothing before another node has, so it always follows.
    """

    name: str
    orders: str
    version: int = cursor.CURRENT_VERSION
    comes_second: bool = False


def run_node(words: list[str], log: str, habits: Habits) -> None:
    """Runs the command line in this process, with its output in a file."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    logging.getLogger().handlers.clear()  # left by what the fork server imported
    for name, module in list(sys.modules.items()):
        if name.startswith("aurora_ingest") and hasattr(module, "CURRENT_VERSION"):
            module.CURRENT_VERSION = habits.version  # a node of another release
    _place_strikes(habits)
    if habits.comes_second:
        _come_second()
    sys.exit(cli.run(words))


def _place_strikes(habits: Habits) -> None:
    def strike(place: str) -> None:
        _obey(Path(habits.orders), place, habits.name)

    sending = False
    send, rows = lead.send_ledgers, load._kernel.copy_rows

    def send_ledgers(*args: Any) -> Any:
        nonlocal sending
        sending = True
        try:
            return send(*args)
        finally:
            sending = False

    def copy_rows(*args: Any) -> Any:
        if sending:
            strike(INSIDE_COPY)
        return rows(*args)

    lead.send_ledgers = send_ledgers
    load._kernel.copy_rows = copy_rows
    _wrap(lead, "lock_cursor", after=lambda: strike(AFTER_LOCK))
    _wrap(lead, "commit", before=lambda: strike(BEFORE_COMMIT), after=lambda: strike(AFTER_COMMIT))
    _wrap(publish, "publish", before=lambda: strike(BEFORE_PUBLISH))


def _wrap(
    module: Any, name: str, before: Callable[[], None] | None = None, after: Callable[[], None] | None = None
) -> None:
    original: Callable[..., Any] = getattr(module, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before()
        result = original(*args, **kwargs)
        if after is not None:
            after()
        return result

    setattr(module, name, wrapped)


def _obey(orders: Path, place: str, node: str) -> None:
    """Takes an order for this place, if there is one for any node or for this one, and carries it out."""
    for order in (orders / place, orders / f"{place}@{node}"):
        taken = orders / f"{order.name}.taken"
        try:
            order.rename(taken)
        except FileNotFoundError:
            continue
        action = taken.read_text()
        draft = orders / f"{order.name}.draft"
        draft.write_text(f"{action} {node} {os.getpid()} {time.time()}")
        draft.rename(orders / f"{order.name}.done")
        if action == HOLD:
            while taken.exists():
                time.sleep(0.02)
        else:
            os.kill(os.getpid(), signal.Signals[action])


def _come_second() -> None:
    """Lets a node offer its ledgers only once they are committed."""
    original = lead.Committer.commit

    def commit(self: lead.Committer, group: Any) -> Any:
        while True:
            with self._engine.connect() as connection:
                last = cursor.read_last_ledger(connection)
            if last is not None and last >= group[-1].sequence:
                return original(self, group)
            time.sleep(0.05)

    lead.Committer.commit = commit  # type: ignore[method-assign]
