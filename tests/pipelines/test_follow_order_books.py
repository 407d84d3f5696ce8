"""Following with order books: whatever happens to nodes, the table is that of the offers at each ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from apache_beam.testing import test_pipeline, test_stream

import closed_network
from aurora_ingest import _kernel
from aurora_ingest.db import order_book_levels
from aurora_ingest.db.engine import writing
from aurora_ingest.db.gaps import read_gaps
from aurora_ingest.db.history import delete_ledgers
from aurora_ingest.db.lead import Committer
from aurora_ingest.errors import DatabaseError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import BackendOptions
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.pipelines.follow import FollowPlan
from aurora_ingest.runners import launch
from aurora_ingest.system import System, SystemOptions
from aurora_ingest.transforms import orderbook, write_order_books
from aurora_ingest.transforms.extract_changes import compacted, ledger_units
from aurora_ingest.transforms.lead import CommittedLedger
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit, Receipt
from aurora_ingest.transforms.processors import entry_columns
from orderbook.book_history import Rows, expected_rows, state_of_tables, written_rows

_DEPTH = 3
_FIRST, _LAST = 64, 100


def _system(url: str, until: int = _LAST, node: str = "one") -> System:
    source = open_backend(
        str(closed_network.STREAM), closed_network.NETWORK, options=BackendOptions(poll_interval=0.02)
    )
    plan = FollowPlan(closed_network.NETWORK, source, url, node, until=until, order_book_depth=_DEPTH)
    return System(SystemOptions(plan, poll_interval=0.02), launch.choose_engine([]))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Rows made anew from the tables, which the committer alone has moved on ledger by ledger."""
    engine = closed_network.state_at(f"sqlite:///{tmp_path_factory.mktemp('plain')}/state.db")
    committer = Committer(engine, node="plain", network_passphrase=closed_network.NETWORK.passphrase)
    states = {}
    for ledger in range(_FIRST - 1, _LAST + 1):
        if ledger >= _FIRST:
            committer.commit([closed_network.prepared()[ledger]])
        with engine.connect() as connection:
            states[ledger] = state_of_tables(connection)
    engine.dispose()
    return expected_rows(states, _DEPTH)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    opened = closed_network.state_at(url)
    yield opened
    opened.dispose()


def _written(engine: sa.Engine) -> Rows:
    with engine.connect() as connection:
        return written_rows(connection)


def _gaps(engine: sa.Engine) -> Any:
    with engine.connect() as connection:
        return read_gaps(connection, _FIRST, _LAST).get("order_book_levels", ())


def test_every_ledger_is_told(url: str, engine: sa.Engine, expected: Rows) -> None:
    assert len(expected) > 50
    assert any(row["pool_id"] for row in expected.values())
    assert any(row["spread_n"] is not None for row in expected.values())
    _system(url).run()
    assert _written(engine) == expected
    assert _gaps(engine) == ()


def test_books_outlive_rounds_and_are_read_once(
    url: str, engine: sa.Engine, expected: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    read = orderbook.DatabaseBooks.__call__
    monkeypatch.setattr(orderbook.DatabaseBooks, "__call__", lambda books: reads.append(1) or read(books))
    monkeypatch.setattr("aurora_ingest.transforms.reading_place.LEDGERS_PER_TICK", 16)
    _system(url).run()
    assert _written(engine) == expected
    assert len(reads) == 1


def test_a_restarted_node_goes_on(url: str, engine: sa.Engine, expected: Rows) -> None:
    for until in (71, _LAST):
        _system(url, until).run()
    assert _written(engine) == expected
    assert _gaps(engine) == ()


def test_what_a_killed_node_had_only_committed_is_made_up_for(url: str, engine: sa.Engine, expected: Rows) -> None:
    """As if it had been killed between the commits and the order books of the last five ledgers."""
    _system(url, 90).run()
    with writing(engine) as connection:
        delete_ledgers(connection, ["order_book_levels"], LedgerRange(86, 90))
    _system(url).run()
    assert _written(engine) == expected
    assert _gaps(engine) == ()


def test_a_round_that_fails_before_the_books_are_written_leaves_no_gap(
    url: str, engine: sa.Engine, expected: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = order_book_levels.write_ledgers, []

    def fail_at_first(*args: Any) -> int:
        calls.append(args[1])
        if len(calls) == 2:
            raise DatabaseError("the disk of the test is full")
        return write(*args)

    monkeypatch.setattr("aurora_ingest.transforms.reading_place.LEDGERS_PER_TICK", 16)
    monkeypatch.setattr(write_order_books.order_book_levels, "write_ledgers", fail_at_first)
    system = _system(url)
    system.run()
    assert system.counts.failures == 1
    assert _written(engine) == expected
    assert _gaps(engine) == ()


def test_a_follower_writes_what_its_leader_does_not(url: str, engine: sa.Engine, expected: Rows) -> None:
    """The leader keeps no order books; the node with them begins when all ledgers are committed."""
    _system(url, 66).run()
    committer = Committer(engine, node="leader", network_passphrase=closed_network.NETWORK.passphrase)
    for ledger in range(67, _LAST + 1):
        committer.commit([closed_network.prepared()[ledger]])
    system = _system(url)
    system.run()
    assert system.counts.led == 0
    assert _written(engine) == expected
    assert _gaps(engine) == ()


def _committed() -> list[CommittedLedger]:
    """The ledgers as the committer passes them on."""
    columns = closed_network.RULES.columns()
    decoder = _kernel.LedgerDecoder(network_id=closed_network.NETWORK.network_id, columns=columns)
    for ledger in range(_FIRST, _LAST + 1):
        decoder.push(closed_network.ledgers()[ledger])
    decoded = {name: pa.record_batch(batch) for name, batch in decoder.take().items()}
    receipt = Receipt(CHUNK, 0, last=True)
    unit = LedgerUnit(CHUNK, 0, True, _FIRST, _LAST, {}, {}, {}, receipt, decoded=decoded)
    entries = entry_columns(("offers", "liquidity_pools"))
    units = (compacted(each, entries, closed_network.NETWORK.network_id) for each in ledger_units(unit))
    return [CommittedLedger(each.last_ledger, True, each) for each in units]


def test_beams_state_does_what_the_memory_of_a_process_does(url: str, engine: sa.Engine, expected: Rows) -> None:
    """As on an engine: many bundles, some ledgers come twice; the books are read when all are committed."""
    committer = Committer(engine, node="leader", network_passphrase=closed_network.NETWORK.passphrase)
    committer.commit([closed_network.prepared()[ledger] for ledger in range(_FIRST, _LAST + 1)])
    stream, committed = test_stream.TestStream(), _committed()
    for first in range(0, len(committed), 5):
        stream = stream.add_elements([*committed[first : first + 6], *committed[first : first + 2]])
    with test_pipeline.TestPipeline(runner="BundleBasedDirectRunner") as pipeline:
        ledgers = pipeline | stream.advance_watermark_to_infinity()
        _ = ledgers | write_order_books.WriteOrderBooks(url, _DEPTH)
    assert _written(engine) == expected
    assert _gaps(engine) == ()
