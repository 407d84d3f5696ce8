"""Three nodes on one PostgreSQL that are killed, stopped and cut off: the tables are those of an undisturbed run.

A seed is printed; AURORA_CHAOS_SEED repeats its decisions (not their moments), AURORA_CHAOS_KILLS=60 runs the long
version.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from postgres_server import Server

import closed_network
from aurora_ingest import _kernel
from following.driver import AFTER_COMMIT, AFTER_LOCK, BEFORE_COMMIT, HOLD, INSIDE_COPY, LEADING_PLACES
from following.nodes import (
    GrowingSource,
    Node,
    Nodes,
    Strike,
    commits_of,
    cursor_of,
    differences,
    dump,
    nodes_in,
    until,
)
from following.proxy import Proxy
from quick_postgres import quick_server

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

_NAMES = ("one", "two", "three")
_POLL, _DEADLINE = 0.2, 4.0
_FLAGS = ("--poll-interval", str(_POLL), "--deadline", str(_DEADLINE), "--order-book-depth", "3")
_CHECKPOINT = 63
_STOPPED_SECONDS = 20.0


@dataclass(frozen=True)
class _Network:
    """A network whose ledgers after checkpoint 63 are followed."""

    archive: Path
    ledgers: dict[int, bytes]
    last: int
    flags: tuple[str, ...]


@dataclass
class _Chaos:
    """What was done to the nodes, and how long it was until another one went on.

    Attributes:
        strikes: carried out at their places.
        stops: seconds for which nodes were stopped.
        after_kill: seconds from the kill of a leader to the next ledger's commit, or from that ledger's coming.
        after_stop: the same for leaders that were stopped.
    """

    strikes: list[Strike] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    after_kill: list[float] = field(default_factory=list)
    after_stop: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        """The figures in one line."""
        return f"after kill -9: {_figures(self.after_kill)}; after SIGSTOP: {_figures(self.after_stop)}"


def _figures(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return f"{len(ordered)} takeovers, median {statistics.median(ordered):.2f} s, p99 {p99:.2f} s"


class _Arena:
    """Three nodes, two of them directly at the server, the third behind a proxy."""

    def __init__(self, nodes: Nodes, server: Server, proxy: Proxy, url: str, source: GrowingSource) -> None:
        self.nodes = nodes
        self.server = server
        self.proxy = proxy
        self.url = url
        self.source = source
        self.running: dict[str, Node] = {}
        self.stopped: dict[str, float] = {}
        self.chaos = _Chaos()

    def start(self, name: str) -> None:
        """Starts a node, again if it has ended."""
        url = self.url if name != "three" else self.url.replace(f":{self.server.port}/", f":{self.proxy.port}/")
        self.running[name] = self.nodes.start(name, "--db-url", url)

    def stop(self, name: str, at: float) -> None:
        """Notes that a node has been stopped since a time; it goes on some time later."""
        self.stopped[name] = at

    def go_on(self, running: int) -> None:
        """Lets stopped nodes go on whose time has come; waits for it until so many are running."""
        for name, since in sorted(self.stopped.items(), key=lambda each: each[1]):
            left = since + _STOPPED_SECONDS - time.time()
            if left > 0 and len(_NAMES) - len(self.stopped) >= running:
                return
            time.sleep(max(left, 0))
            self.running[name].send(signal.SIGCONT)
            self.chaos.stops.append(time.time() - self.stopped.pop(name))

    def wait_for(self, ledger: int) -> None:
        """Waits until a ledger is committed."""
        until(lambda: cursor_of(self.url) >= ledger, f"ledger {ledger}\n{self._tails()}")

    def _tails(self) -> str:
        return "\n".join(f"--- {node.name}\n{node.tail()[-1500:]}" for node in self.running.values())

    def strike(self, place: str, action: str, ledger: int) -> Strike:
        """Gives a ledger and strikes whoever gets it to a place; waits until it is committed all the same."""
        self.go_on(running=2)
        self.nodes.order(place, action)
        self.source.give(ledger)
        hit = until(lambda: self.nodes.hit(place), f"{action} {place} at ledger {ledger}\n{self._tails()}")
        self.chaos.strikes.append(hit)
        name = hit.node.name
        if action == "SIGKILL":
            assert hit.node.exit_code() == -signal.SIGKILL
        elif action == "SIGTERM":
            assert hit.node.exit_code() == 0, hit.node.tail()
            assert "stopped at ledger" in hit.node.tail()
        self.wait_for(ledger)
        if place != AFTER_COMMIT:
            gone = max(hit.at, self.source.given[ledger])
            seconds = commits_of(self.url)[ledger][1] - gone
            if action == "SIGKILL":
                self.chaos.after_kill.append(seconds)
            elif action == "SIGSTOP":
                self.chaos.after_stop.append(seconds)
        if action == "SIGSTOP":
            self.stop(name, hit.at)
        elif action != HOLD:
            self.start(name)
        return hit

    def note_takeover(self, name: str, at: float) -> None:
        """Notes how long the next ledger took if a node that was killed had led the one before."""
        commits = commits_of(self.url)
        last = max((ledger for ledger, (_, when) in commits.items() if when <= at), default=0)
        if last + 1 in commits and commits[last][0] == name:
            gone = max(at, self.source.given[last + 1])
            self.chaos.after_kill.append(commits[last + 1][1] - gone)


@pytest.fixture
def server() -> Iterator[Server]:
    with quick_server() as started:
        yield started


def _new_database(server: Server, name: str) -> str:
    with psycopg.connect(f"{server.address}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return f"{server.address}/{name}"


def _databases(server: Server, network: _Network) -> tuple[str, str]:
    """Two databases with the same state at checkpoint 63."""
    first = _new_database(server, "chaos_state")
    assert closed_network.cli.run(["db", "migrate", "--db-url", first]) == 0
    build = ["build-state", *network.flags, "--history-archive-url", str(network.archive)]
    assert closed_network.cli.run([*build, "--checkpoint", str(_CHECKPOINT), "--db-url", first]) == 0
    with psycopg.connect(f"{server.address}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE undisturbed TEMPLATE chaos_state")
    return first, f"{server.address}/undisturbed"


def _undisturbed(network: _Network, folder: Path, url: str) -> dict[str, bytes]:
    """All tables after one node has followed everything alone."""
    source = GrowingSource(folder / "whole.xdr", network.ledgers, network.last)
    words = (*network.flags, *_FLAGS, "--ledgers", str(source.path), "--db-url", url, "--until", str(network.last))
    with nodes_in(folder / "alone", *words) as nodes:
        node = nodes.start("alone")
        assert node.exit_code(600) == 0, node.tail()
    return dump(url)


def _assert_as_undisturbed(arena: _Arena, network: _Network, expected: dict[str, bytes]) -> None:
    assert not differences(dump(arena.url), expected)
    commits = commits_of(arena.url)
    assert list(commits) == list(range(_CHECKPOINT + 1, network.last + 1))
    assert {node for node, _ in commits.values()} <= set(_NAMES)


def _stop_all(arena: _Arena) -> None:
    for node in arena.running.values():
        node.send(signal.SIGTERM)
    assert [node.exit_code() for node in arena.running.values()] == [0, 0, 0]
    with psycopg.connect(arena.url) as connection:
        assert connection.execute("SELECT node FROM ingest_nodes").fetchall() == []


_ALL: Sequence[tuple[str, str]] = (
    (INSIDE_COPY, "SIGSTOP"),
    *((place, "SIGKILL") for place in LEADING_PLACES),
    (INSIDE_COPY, "SIGTERM"),
    (AFTER_LOCK, "SIGTERM"),
    (AFTER_LOCK, "SIGSTOP"),
    (BEFORE_COMMIT, "SIGTERM"),
    (AFTER_COMMIT, "SIGTERM"),
    (BEFORE_COMMIT, "SIGSTOP"),
    (AFTER_COMMIT, "SIGSTOP"),
)
"""Every place with every signal; nodes that are stopped sleep while others are struck."""


def test_nodes_struck_at_every_place_leave_no_trace(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--network", "standalone", "--checkpoint-frequency", "8")
    network = _Network(closed_network.ARCHIVE, closed_network.ledgers(), 100, flags)
    url, other = _databases(server, network)
    expected = _undisturbed(network, _folder(tmp_path, "alone"), other)
    source = GrowingSource(tmp_path / "ledgers.xdr", network.ledgers, _CHECKPOINT)
    proxy = Proxy(server.port)
    with nodes_in(_folder(tmp_path, "nodes"), *flags, *_FLAGS, "--ledgers", str(source.path)) as nodes:
        arena = _Arena(nodes, server, proxy, url, source)
        for name in _NAMES:
            arena.start(name)
        ledger = _CHECKPOINT + 1
        for place, action in _ALL:
            arena.strike(place, action, ledger)
            ledger += 1
        # The server restarts while ledgers come.
        with source.paced(ledger, network.last - 1, 0.1) as giving:
            time.sleep(0.5)
            server.stop()
            time.sleep(0.5)
            server.start()
            giving.join()
            arena.wait_for(network.last - 1)
        # A leader that loses its network while it holds the cursor; others end its session after the deadline.
        arena.go_on(running=3)
        _cut_off(arena, network.last)
        _stop_all(arena)
    proxy.close()
    with capsys.disabled():
        print(f"\n{arena.chaos}")  # noqa: T201  # figures of the run
    struck = [(strike.place, strike.action) for strike in arena.chaos.strikes[: len(_ALL)]]
    assert struck == list(_ALL)
    assert {*struck} == {*itertools.product(LEADING_PLACES, ("SIGKILL", "SIGTERM", "SIGSTOP"))}
    assert len(arena.chaos.stops) == len(LEADING_PLACES)
    assert min(arena.chaos.stops) >= _STOPPED_SECONDS
    _assert_as_undisturbed(arena, network, expected)
    # Generous, as the machine may be busy; the goals are printed figures: 2 polls and 1 s, and the deadline.
    assert max(arena.chaos.after_kill) < 20
    assert max(arena.chaos.after_stop) < _DEADLINE + 20


def _cut_off(arena: _Arena, ledger: int) -> None:
    """Holds node three at the place where it has the cursor, pulls its cable, and lets it go on into nothing."""
    place = f"{BEFORE_COMMIT}@three"
    arena.nodes.order(place, HOLD)
    # The others pause, so that it is the third that leads.
    for name in ("one", "two"):
        arena.running[name].send(signal.SIGSTOP)
    arena.source.give(ledger)
    hit = until(lambda: arena.nodes.hit(place), f"three leads ledger {ledger}")
    arena.chaos.strikes.append(hit)
    arena.proxy.pause()
    arena.nodes.release(place)
    for name in ("one", "two"):
        arena.running[name].send(signal.SIGCONT)
    until(lambda: cursor_of(arena.url) >= ledger, f"ledger {ledger} by others")
    assert commits_of(arena.url)[ledger][0] != "three"
    arena.proxy.resume()


@pytest.mark.shared_data
@pytest.mark.skipif("AURORA_CHAOS_KILLS" not in os.environ, reason="AURORA_CHAOS_KILLS says how many random kills")
def test_nodes_killed_at_random_leave_no_trace(server: Server, shared_data: Path, tmp_path: Path) -> None:
    kills = int(os.environ["AURORA_CHAOS_KILLS"])
    seed = int(os.environ.get("AURORA_CHAOS_SEED", str(random.randrange(1 << 32))))
    print(f"seed {seed}, {kills} kills", flush=True)  # noqa: T201  # to run it again
    rng = random.Random(seed)
    folder = shared_data / "standalone-p19"
    frames = _kernel.LedgerFrames(framing="framed", compression="zstd")
    data = (folder / "meta/ledger-close-meta.xdr.zst").read_bytes()
    ledgers = dict([*frames.feed(data), *frames.finish()])
    network = _Network(folder / "archive", ledgers, max(ledgers), ("--network", "standalone"))
    url, other = _databases(server, network)
    expected = _undisturbed(network, _folder(tmp_path, "alone"), other)
    source = GrowingSource(tmp_path / "ledgers.xdr", ledgers, _CHECKPOINT)
    proxy = Proxy(server.port)
    with nodes_in(_folder(tmp_path, "nodes"), *network.flags, *_FLAGS, "--ledgers", str(source.path)) as nodes:
        arena = _Arena(nodes, server, proxy, url, source)
        for name in _NAMES:
            arena.start(name)
        ledger = _CHECKPOINT
        for number in range(kills):
            ledger = _strike_anyhow(arena, rng, ledger, number)
            print(f"{number + 1}: {arena.chaos}", flush=True)  # noqa: T201
        arena.go_on(running=3)
        source.give(*range(ledger + 1, network.last + 1))
        arena.wait_for(network.last)
        _stop_all(arena)
    proxy.close()
    _assert_as_undisturbed(arena, network, expected)
    print(f"seed {seed}: {arena.chaos}")  # noqa: T201


def _strike_anyhow(arena: _Arena, rng: random.Random, ledger: int, number: int) -> int:
    """One strike of a random kind; returns the last ledger given."""
    if number % 15 == 7:
        with arena.source.paced(ledger + 1, ledger + 5, 0.2) as giving:
            time.sleep(rng.uniform(0, 1))
            arena.server.stop(rng.choice(["fast", "immediate"]))
            arena.server.start()
            giving.join()
            arena.wait_for(ledger + 5)
        return ledger + 5
    if number % 15 == 14:
        arena.proxy.pause()
        arena.source.give(ledger + 1)
        time.sleep(rng.uniform(0.5, 2 * _DEADLINE))
        arena.proxy.resume()
        arena.wait_for(ledger + 1)
        return ledger + 1
    action = rng.choices(["SIGKILL", "SIGTERM", "SIGSTOP"], [7, 2, 1])[0]
    if rng.random() < 0.5:
        arena.strike(rng.choice(LEADING_PLACES), action, ledger + 1)
        return ledger + 1
    # At any moment, while ledgers come.
    arena.go_on(running=2)
    victim = arena.running[rng.choice([name for name in _NAMES if name not in arena.stopped])]
    with arena.source.paced(ledger + 1, ledger + 3, 0.1) as giving:
        time.sleep(rng.uniform(0, 1.5))
        at = time.time()
        victim.send(signal.Signals[action])
        if action == "SIGSTOP":
            arena.stop(victim.name, at)
        else:
            assert victim.exit_code() in {0, -signal.SIGKILL}, victim.tail()
            arena.start(victim.name)
        giving.join()
        arena.wait_for(ledger + 3)
    if action == "SIGKILL":
        arena.note_takeover(victim.name, at)
    return ledger + 3


def _folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made
