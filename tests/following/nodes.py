"""Nodes that follow, as processes: started, struck, stopped; a source that grows; and what is in the database then."""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, Final

import psycopg

from aurora_ingest.db.tables import METADATA
from following.driver import Habits, run_node

PATIENCE: Final = 120.0
"""Seconds within which anything happens, on a machine with much else to do."""
_MODULES: Final = ["aurora_ingest.system", "aurora_ingest.cli.follow", "following.driver"]
_OF_ONE_RUN: Final = {"ingest_commits", "ingest_nodes", "ingest_live", "ingest_verifications", "order_book_removals"}
"""Books that tell who did what and when; the same ledgers come to others in every run, and a rebuild empties some."""


@functools.cache
def _processes() -> Any:
    """Where processes come from: forks of a server that has imported everything, so that a node starts at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_MODULES)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # the server does not get this process's path otherwise
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Waits until something holds and returns it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)
    return found


@dataclass
class Node:
    """A process that follows.

    Attributes:
        name: of the node.
        log: file of its log lines and output.
        process: the process.
    """

    name: str
    log: Path
    process: Any

    @property
    def pid(self) -> int:
        """Of its process."""
        return int(self.process.pid)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if the process is still there."""
        if self.process.is_alive():
            os.kill(self.pid, number)

    def exit_code(self, seconds: float = PATIENCE) -> int:
        """Waits for its end."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"{self.name} did not end:\n{self.tail()}"
        return int(self.process.exitcode)

    def lines(self, message: str | None = None) -> list[dict[str, Any]]:
        """Its log lines, of one message if that is named."""
        if not self.log.exists():
            return []
        text = self.log.read_text(encoding="utf-8", errors="replace")
        found = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in found if message is None or line["message"] == message]

    def states(self) -> list[str]:
        """The states it went into, in order."""
        return [line["to"] for line in self.lines("Node state")]

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:] if self.log.exists() else ""


@dataclass
class Nodes:
    """All processes of one test.

    Attributes:
        folder: where logs and orders are.
        flags: flags that all nodes have.
        started: all nodes so far.
    """

    folder: Path
    flags: tuple[str, ...]
    started: list[Node] = field(default_factory=list)

    def start(self, name: str, *flags: str, version: int | None = None, comes_second: bool = False) -> Node:
        """Starts a node."""
        log = self.folder / f"{len(self.started)}-{name}.log"
        words = ["follow", *self.flags, *flags, "--node", name, "--log-format", "json"]
        habits = Habits(name, str(self.orders), comes_second=comes_second)
        if version is not None:
            habits = Habits(name, str(self.orders), version, comes_second)
        process = _processes().Process(target=run_node, args=(words, str(log), habits), name=name, daemon=True)
        process.start()
        node = Node(name, log, process)
        self.started.append(node)
        return node

    @property
    def orders(self) -> Path:
        """Folder of the orders to strike."""
        return self.folder / "orders"

    def order(self, place: str, action: str) -> None:
        """Orders a strike at a place, or at ``place@node`` for one node."""
        for old in (self.orders / f"{place}.done", self.orders / f"{place}.taken"):
            old.unlink(missing_ok=True)
        draft = self.orders / "order.draft"
        draft.write_text(action)
        draft.rename(self.orders / place)

    def hit(self, place: str) -> Strike | None:
        """The strike that an order led to, None before it did."""
        done = self.orders / f"{place}.done"
        if not done.exists():
            return None
        action, _, pid, at = done.read_text().split()
        return Strike(place, action, next(node for node in self.started if str(node.pid) == pid), float(at))

    def release(self, place: str) -> None:
        """Lets a held node go on."""
        (self.orders / f"{place}.taken").unlink()

    def end(self) -> None:
        """Ends every process that is left."""
        for node in self.started:
            if node.process.is_alive():
                node.process.kill()
            node.process.join(10)


@dataclass(frozen=True)
class Strike:
    """An order that was carried out.

    Attributes:
        place: where.
        action: the name of the signal, or HOLD.
        node: which node it hit.
        at: when, seconds since 1970.
    """

    place: str
    action: str
    node: Node
    at: float


@contextmanager
def nodes_in(folder: Path, *flags: str) -> Iterator[Nodes]:
    """Nodes that are ended with the block."""
    nodes = Nodes(folder, flags)
    nodes.orders.mkdir(parents=True)
    try:
        yield nodes
    finally:
        nodes.end()


class GrowingSource:
    """A framed stream that gets its ledgers one by one, as stellar-core writes it.

    Attributes:
        path: the file.
        given: when each ledger was whole, seconds since 1970.
    """

    def __init__(self, path: Path, ledgers: Mapping[int, bytes], last: int) -> None:
        """Begins with the ledgers up to `last`."""
        self.path = path
        self.given: dict[int, float] = {}
        self._ledgers = ledgers
        path.touch()
        self.give(*(sequence for sequence in sorted(ledgers) if sequence <= last))

    def give(self, *sequences: int) -> None:
        """Appends ledgers."""
        with self.path.open("ab") as file:
            for sequence in sequences:
                data = self._ledgers[sequence]
                file.write((len(data) | 0x8000_0000).to_bytes(4, "big") + data)
                self.given[sequence] = time.time()

    @contextmanager
    def paced(self, first: int, last: int, seconds: float) -> Iterator[threading.Thread]:
        """Gives ledgers at a pace while the block runs; the block waits for the thread if all are wanted."""
        stop = threading.Event()

        def give_all() -> None:
            for sequence in range(first, last + 1):
                if stop.wait(seconds):
                    return
                self.give(sequence)

        thread = threading.Thread(target=give_all)
        thread.start()
        try:
            yield thread
        finally:
            stop.set()
            thread.join()


def cursor_of(url: str) -> int:
    """The committed cursor, 0 when there is none."""
    with psycopg.connect(url, autocommit=True) as connection:
        query = "SELECT value FROM key_value_store WHERE key = 'exp_ingest_last_ledger'"
        row = connection.execute(query).fetchone()
    return 0 if row is None else int(row[0])


def commits_of(url: str) -> dict[int, tuple[str, float]]:
    """Who wrote each ledger, and when, by ledger."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("SELECT ledger, node, committed_at FROM ingest_commits ORDER BY ledger").fetchall()
    return {ledger: (node, at) for ledger, node, at in rows}


def dump(url: str, *, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Every table of ours as PostgreSQL writes it out, in the order of its key, but for the books of one run."""
    found = {}
    with psycopg.connect(url) as connection:
        for name, table in METADATA.tables.items():
            if name in _OF_ONE_RUN:
                continue
            columns = ", ".join(f'"{column.name}"' for column in table.columns if column.name not in without)
            keys = ", ".join(f'"{column.name}"' for column in table.primary_key.columns) or columns
            with connection.cursor() as cursor:
                query = f'COPY (SELECT {columns} FROM "{name}" ORDER BY {keys}) TO STDOUT'
                with cursor.copy(query) as copy:  # type: ignore[arg-type]  # names of our own
                    found[name] = b"".join(bytes(piece) for piece in copy)
    return found


def differences(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> dict[str, list[bytes]]:
    """Lines that are on one side only, by table; empty when all is the same."""
    return {
        name: sorted(set(found[name].splitlines()) ^ set(expected[name].splitlines()))[:6] or [b"another order"]
        for name in expected
        if found[name] != expected[name]
    }
