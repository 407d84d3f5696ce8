"""Reader and committer over many ticks, with Beam's own state, on both databases."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import apache_beam as beam
import pytest
import sqlalchemy as sa
from apache_beam.options.pipeline_options import PipelineOptions

import closed_network
from aurora_ingest.db import cursor
from aurora_ingest.db.engine import connect, is_postgres, writer, writing
from aurora_ingest.errors import MissingLedgersError, StateError
from aurora_ingest.ledger_backend.backend import BackendOptions
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.pipelines.follow import FollowPlan, build_follow
from aurora_ingest.transforms import lead, read_ledgers_continuously, reading_place
from aurora_ingest.transforms.lead import CommittedLedger
from aurora_ingest.transforms.ledger_feed import close_feed, feed_of
from aurora_ingest.transforms.ledger_unit import TICK, LedgerUnit
from aurora_ingest.transforms.prepare_ledgers import with_rows
from aurora_ingest.transforms.processors import HISTORY_TABLES, TABLES
from aurora_ingest.transforms.read_ledgers_continuously import tick_unit
from aurora_ingest.transforms.reading_place import NO_POSITION
from following.nodes import until

Act = Callable[[], None]
_PLACE = beam.DoFn.StateParam(read_ledgers_continuously._ReadFn.PLACE)
_BUFFER = beam.DoFn.StateParam(lead._LeadFn.BUFFER)
_seen: list[Any] = []
_acts: dict[int, Act] = {}
_ticks: list[int] = []


@pytest.fixture(autouse=True)
def _nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    _seen.clear()
    _acts.clear()
    _ticks.clear()
    monkeypatch.setattr(reading_place, "LEDGERS_PER_TICK", 4)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[sa.Engine]:
    url = f"sqlite:///{tmp_path}/state.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = closed_network.state_at(url)
    yield opened
    opened.dispose()


@pytest.fixture
def plan(engine: sa.Engine) -> Iterator[FollowPlan]:
    source = open_backend(
        str(closed_network.STREAM), closed_network.NETWORK, options=BackendOptions(poll_interval=0.02)
    )
    url = engine.url.render_as_string(hide_password=False)
    plan = FollowPlan(closed_network.NETWORK, source, url, "one", HISTORY_TABLES)
    _read_ahead(plan)
    yield plan
    close_feed(plan.feed)


def _read_ahead(plan: FollowPlan, first: int = 64) -> None:
    feed = feed_of(plan.feed, plan.backend)
    feed.wait(first, 60)
    until(lambda: feed.newest == 100, "the source to be read ahead")


def _next_tick() -> None:
    """Does what is due at this tick, before the step under test works on it."""
    _ticks.append(len(_ticks) + 1)
    _acts.pop(len(_ticks), lambda: None)()


class _ReadFn(read_ledgers_continuously._ReadFn):
    """The reader; things happen between its ticks."""

    def process(self, keyed: Any, state: Any = _PLACE) -> Any:
        _next_tick()
        yield from super().process(keyed, state)


class _LeadFn(lead._LeadFn):
    """The committer; things happen between its ticks."""

    def process(self, keyed: Any, buffer: Any = _BUFFER) -> Any:
        if keyed[1].kind == TICK:
            _next_tick()
        yield from super().process(keyed, buffer)


class _KeepFn(beam.DoFn):
    """Keeps what comes, in this process."""

    def process(self, element: Any) -> None:
        _seen.append(element)


def _run(elements: list[tuple[int, Any]], tested: beam.DoFn, into: type) -> list[Any]:
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        _ = (
            pipeline
            | "Elements" >> beam.Create(elements, reshuffle=False).with_output_types(tuple[int, Any])
            | "Tested" >> beam.ParDo(tested).with_output_types(into)
            | "Keep" >> beam.ParDo(_KeepFn())
        )
    return list(_seen)


def _read(plan: FollowPlan, ticks: int) -> list[list[int]]:
    """The ledgers that a reader gives at each tick."""
    units = _run([(0, NO_POSITION)] * ticks, _ReadFn(plan.reading), LedgerUnit)
    found: list[list[int]] = [[]]
    for unit in units:
        if unit.kind == TICK:
            found.append([])
        else:
            found[-1].append(unit.last_ledger)
    assert found[-1] == []
    return found[:-1]


def _units(plan: FollowPlan) -> dict[int, LedgerUnit]:
    raws = feed_of(plan.feed, plan.backend).take(64, 100, 1 << 30)
    return {unit.last_ledger: with_rows(unit, plan.rules) for unit in plan.reading.decode(raws)}


def _commit(plan: FollowPlan, *script: int | None) -> list[tuple[int, bool]]:
    """What a committer emits for ledgers as they come; None is a tick."""
    units = _units(plan)
    elements = [(0, tick_unit(0) if ledger is None else units[ledger]) for ledger in script]
    return [(each.sequence, each.leader) for each in _run(elements, _LeadFn(plan.leading), CommittedLedger)]


def _move(engine: sa.Engine, plan: FollowPlan, ledger: int) -> None:
    with writing(engine) as connection:
        cursor.write(connection, cursor.LAST_LEDGER, str(ledger))
    _read_ahead(plan, ledger + 1)  # a tick does not wait for the source


def _restore(plan: FollowPlan) -> None:
    """Puts the database back to the state of checkpoint 63, as an operator does."""
    command = ["build-state", "--network", "standalone", "--checkpoint-frequency", "8", "--checkpoint", "63"]
    command += ["--history-archive-url", str(closed_network.ARCHIVE), "--db-url", plan.db_url, "--log-level", "error"]
    assert closed_network.cli.run(command) == 0


# --- Reader -----------------------------------------------------------------------------------------------------------
def test_the_place_is_kept_from_tick_to_tick(plan: FollowPlan) -> None:
    assert _read(plan, 3) == [[64, 65, 66, 67], [68, 69, 70, 71], [72, 73, 74, 75]]


def test_a_cursor_that_moved_back_is_read_again(engine: sa.Engine, plan: FollowPlan) -> None:
    _move(engine, plan, 67)
    _acts[3] = lambda: _move(engine, plan, 65)
    assert _read(plan, 4) == [[68, 69, 70, 71], [72, 73, 74, 75], [66, 67, 68, 69], [70, 71, 72, 73]]


def test_a_cursor_that_moved_back_unseen_is_read_again(plan: FollowPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_place, "STALL_SECONDS", 0.0)
    _acts.update(dict.fromkeys((2, 3), lambda: _read_ahead(plan)))
    assert _read(plan, 3) == [[64, 65, 66, 67], [64, 65, 66, 67], [64, 65, 66, 67]]


def test_a_reader_that_others_overtake_leaves_out_nothing(engine: sa.Engine, plan: FollowPlan) -> None:
    def overtake() -> None:
        with writing(engine) as connection:
            cursor.write(connection, cursor.LAST_LEDGER, "90")

    _acts[2] = overtake
    assert _read(plan, 2) == [[64, 65, 66, 67], [68, 69, 70, 71]]


def test_a_reader_waits_when_nobody_commits(plan: FollowPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_place, "LEDGERS_AHEAD", 6)
    assert _read(plan, 4) == [[64, 65, 66, 67], [68, 69], [], []]


def test_state_of_another_release_or_chain_is_refused(plan: FollowPlan) -> None:
    class Upgraded(_ReadFn):
        def process(self, keyed: Any, state: Any = _PLACE) -> Any:
            yield from super().process(keyed, state)
            self._reading = dataclasses.replace(self._reading, made_by="aurora-ingest 9")

    with pytest.raises(StateError, match=r"was made by aurora-ingest 0\S+, .*accounts.*, this is aurora-ingest 9: "):
        _run([(0, NO_POSITION)] * 2, Upgraded(plan.reading), LedgerUnit)


class _Holed:
    """A source that lacks a ledger; it has read nothing but that."""

    repeatable = True

    def describe(self) -> str:
        return "holed"

    def follow(self, first: int, stop: Any) -> Iterator[Any]:
        raise MissingLedgersError(f"ledger {first} is not there", [])


@pytest.mark.parametrize("tick_seconds", [None, 0.0])
def test_a_hole_ends_a_round_and_is_waited_for_on_an_engine(plan: FollowPlan, tick_seconds: float | None) -> None:
    source: Any = _Holed()
    holed = dataclasses.replace(plan, backend=source, feed="holed", tick_seconds=tick_seconds)
    feed = feed_of(holed.feed, source)
    try:
        feed.take(64, 1, 1)
        until(lambda: feed._fault is not None, "the hole to be met")
        if tick_seconds is None:
            with pytest.raises(RuntimeError, match="MissingLedgersError: ledger 64 is not there"):
                _read(holed, 2)
        else:
            assert _read(holed, 2) == [[], []]  # the committer has its ticks all the same
    finally:
        close_feed(holed.feed)


# --- Committer --------------------------------------------------------------------------------------------------------
def test_a_replayed_bundle_is_followed(engine: sa.Engine, plan: FollowPlan) -> None:
    assert _commit(plan, 64, 65, None, 64, 65, 66, 66, None) == [
        (64, True),
        (65, True),
        (64, False),
        (65, False),
        (66, True),
    ]
    assert closed_network.commits(engine) == [(64, "one"), (65, "one"), (66, "one")]


def test_a_gap_is_waited_for_over_ticks(plan: FollowPlan) -> None:
    assert _commit(plan, 64, 67, 66, None, None, 65, None) == [(64, True), (65, True), (66, True), (67, True)]


def test_a_refused_lock_decides_nothing(engine: sa.Engine, plan: FollowPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    # SQLite waits by itself; an engine leaves even that to the next tick.
    monkeypatch.setattr("aurora_ingest.db.engine._SQLITE_BUSY_SECONDS", 0.2)
    plan = dataclasses.replace(plan, tick_seconds=None if is_postgres(engine) else 0.0)
    holder = connect(engine.url.render_as_string(hide_password=False))
    with ExitStack() as held:

        def hold() -> None:
            connection = held.enter_context(writer(holder))
            held.enter_context(connection.begin())
            cursor.read_last_ledger(connection, lock=True)

        _acts.update({2: hold, 3: held.close})
        assert _commit(plan, 64, None, 65, None, 66, None) == [(64, True), (65, True), (66, True)]
    holder.dispose()


def test_a_cursor_that_moved_back_is_led_again(engine: sa.Engine, plan: FollowPlan) -> None:
    _acts[2] = lambda: _restore(plan)
    assert _commit(plan, 64, 65, None, 66, None, 64, 65, None) == [
        (64, True),
        (65, True),
        (64, True),
        (65, True),
        (66, True),
    ]


# --- Both -------------------------------------------------------------------------------------------------------------
def _graph(plan: FollowPlan, ticks: int) -> list[tuple[int, bool]]:
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        committed = build_follow(pipeline, plan, beam.Create([NO_POSITION] * ticks))
        _ = committed | "Keep" >> beam.ParDo(_KeepFn())
    return [(each.sequence, each.leader) for each in _seen]


def test_many_ticks_of_one_graph_make_the_rows_of_one_tick(
    engine: sa.Engine, plan: FollowPlan, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _graph(dataclasses.replace(plan, tick_seconds=0.0), 12) == [(ledger, True) for ledger in range(64, 101)]
    found = closed_network.rows(engine, (*TABLES, *HISTORY_TABLES))
    monkeypatch.setattr(reading_place, "LEDGERS_PER_TICK", 256)
    other = closed_network.state_at(f"sqlite:///{tmp_path}/other.db")
    once = dataclasses.replace(plan, db_url=other.url.render_as_string(hide_password=False), feed="once")
    _read_ahead(once)
    _seen.clear()
    assert len(_graph(once, 1)) == 37
    close_feed("once")
    expected = closed_network.rows(other, (*TABLES, *HISTORY_TABLES))
    other.dispose()
    if not is_postgres(engine):
        assert found == expected
    assert {name: len(rows) for name, rows in found.items()} == {name: len(rows) for name, rows in expected.items()}
