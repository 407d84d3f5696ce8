"""Builds from opening to publishing: receipts, epochs, staging and what readers see."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pytest
import sqlalchemy as sa

from aurora_ingest.db import builds, cursor, status
from aurora_ingest.db.build_books import ingest_build_heartbeats
from aurora_ingest.db.engine import connect, writing
from aurora_ingest.db.publish import prepare_publish, publish
from aurora_ingest.db.tables import METADATA, STATE_TABLES
from aurora_ingest.errors import (
    DatabaseError,
    FencedError,
    NetworkMismatchError,
    PublishError,
    RowRejectedError,
    UnfinishedBuildError,
)
from db import states
from db.states import plan, visible, whole, write


def test_a_state_becomes_visible_with_its_cursor_and_leaves_nothing_behind(engine: sa.Engine) -> None:
    assert visible(engine) == (None, set(), 0, 0)
    states.build_and_publish(engine, 63)
    assert visible(engine) == whole(63)
    states.build_and_publish(engine, 127)
    assert visible(engine) == whole(127)
    assert states.table_names(engine) == {*METADATA.tables, "aurora_alembic_version"}
    found = status.read_status(engine)
    assert (found.last_ledger, found.version, found.state_invalid) == (127, cursor.CURRENT_VERSION, False)
    assert found.network_passphrase == states.PASSPHRASE
    assert found.rows["ttl"] == states.UNITS
    assert found.unfinished == ()


def test_the_swapped_in_tables_have_the_schema_of_the_migration(engine: sa.Engine) -> None:
    def shape(table: str) -> tuple[object, ...]:
        seen = sa.inspect(engine)
        key = seen.get_pk_constraint(table)["constrained_columns"]
        columns = [(column["name"], str(column["type"]), column["nullable"]) for column in seen.get_columns(table)]
        indexes = sorted(tuple(index["column_names"]) for index in seen.get_indexes(table))
        return key, columns, indexes

    before = {table: shape(table) for table in states.TABLES}
    names = {index["name"] for index in sa.inspect(engine).get_indexes("accounts_signers")}
    states.build_and_publish(engine, 63)
    states.build_and_publish(engine, 127)
    assert {table: shape(table) for table in states.TABLES} == before
    if engine.dialect.name == "postgresql":
        assert {index["name"] for index in sa.inspect(engine).get_indexes("accounts_signers")} == names
        assert sa.inspect(engine).get_pk_constraint("ttl")["name"] == "ttl_pkey"


def test_a_unit_is_written_once_and_gives_the_stored_receipt_again(engine: sa.Engine) -> None:
    build = builds.open_build(engine, plan(63), resume=False)
    first = write(engine, build, 63, 0)
    other = {**states.payload(63, 0), "rows": {"ttl": 99}}
    assert builds.write_unit(engine, build, "range", 0, other, states.rows(63, 0)) == first
    assert builds.finished(engine, build) == {("range", 0): first}
    for unit in (1, 2):
        write(engine, build, 63, unit)
    prepare_publish(engine, build)
    prepare_publish(engine, build)
    publish(engine, build, 63, 3)
    publish(engine, build, 63, 3)
    assert visible(engine) == whole(63)


def test_a_rejected_value_leaves_neither_rows_nor_receipt(engine: sa.Engine) -> None:
    build = builds.open_build(engine, plan(63, ("accounts",)), resume=False)
    sequence_time = pa.record_batch({"account_id": ["G"], "sequence_time": pa.array([2**63], pa.uint64())})
    with pytest.raises(RowRejectedError, match=r"table accounts: row 0, column sequence_time: 9223372036854775808"):
        builds.write_unit(engine, build, "range", 0, {"rows": {}}, {"accounts": sequence_time})
    assert builds.finished(engine, build) == {}


def _forget_builder(engine: sa.Engine, node: str = "elsewhere:1", seconds: float = 1000.0) -> None:
    with writing(engine) as connection:
        gone = {"node": node, "beat_at": time.time() - seconds}
        connection.execute(sa.update(ingest_build_heartbeats).values(**gone))


def test_a_build_is_taken_up_and_its_former_builder_is_fenced(engine: sa.Engine) -> None:
    former = builds.open_build(engine, plan(63), resume=False)
    write(engine, former, 63, 0)
    with pytest.raises(UnfinishedBuildError, match="go on with --resume, or drop it with --abandon"):
        builds.open_build(engine, plan(63), resume=False)
    with pytest.raises(UnfinishedBuildError, match="finish that one with --resume and its own options"):
        builds.open_build(engine, plan(127), resume=True)
    _forget_builder(engine, seconds=10)
    with pytest.raises(UnfinishedBuildError, match=r"elsewhere:1 was heard of 10 s ago; .* after 30 s of silence"):
        builds.open_build(engine, plan(63), resume=True)
    _forget_builder(engine)
    build = builds.open_build(engine, plan(63), resume=True)
    assert build.epoch == former.epoch + 1
    for job in (
        lambda: write(engine, former, 63, 1),
        lambda: prepare_publish(engine, former),
        lambda: publish(engine, former, 63, 3),
    ):
        with pytest.raises(FencedError, match="this builder has epoch 1"):
            job()
    assert set(builds.finished(engine, build)) == {("range", 0)}
    for unit in (1, 2):
        write(engine, build, 63, unit)
    prepare_publish(engine, build)
    publish(engine, build, 63, 3)
    assert visible(engine) == whole(63)


def test_an_abandoned_build_is_gone_and_fenced(engine: sa.Engine) -> None:
    states.build_and_publish(engine, 63)
    build = builds.open_build(engine, plan(127), resume=False)
    write(engine, build, 127, 0)
    assert [found.checkpoint for found in status.read_status(engine).unfinished] == [127]
    assert builds.abandon_build(engine) == 1
    assert builds.abandon_build(engine) == 0
    with pytest.raises(FencedError, match="abandoned"):
        write(engine, build, 127, 1)
    assert status.read_status(engine).unfinished == ()
    states.build_and_publish(engine, 127)
    assert visible(engine) == whole(127)


def test_resuming_a_published_build_changes_nothing(engine: sa.Engine) -> None:
    former = states.build_and_publish(engine, 63)
    build = builds.open_build(engine, plan(63), resume=True)
    assert build == former
    assert len(builds.finished(engine, build)) == states.UNITS
    write(engine, build, 63, 0)
    prepare_publish(engine, build)
    publish(engine, build, 63, 3)
    assert visible(engine) == whole(63)
    assert states.table_names(engine) == {*METADATA.tables, "aurora_alembic_version"}


def test_rows_and_receipts_that_differ_are_not_published(engine: sa.Engine) -> None:
    states.build_and_publish(engine, 63)
    build = builds.open_build(engine, plan(127), resume=False)
    builds.write_unit(engine, build, "range", 0, {"rows": {"ttl": 2}}, states.rows(127, 0))
    with pytest.raises(PublishError, match="expected 0 rows by the receipts, found 2"):
        prepare_publish(engine, build)
    assert visible(engine) == whole(63)


def test_some_tables_are_not_built_beside_others_of_another_ledger(engine: sa.Engine) -> None:
    states.build_and_publish(engine, 63)
    with pytest.raises(DatabaseError, match="tables accounts_signers stand at ledger 63"):
        builds.open_build(engine, plan(127, ("ttl",)), resume=False)
    builds.open_build(engine, plan(63, ("ttl",)), resume=False)


def test_another_networks_database_is_refused(engine: sa.Engine) -> None:
    states.build_and_publish(engine, 63)
    other = dataclasses.replace(plan(127), network_passphrase="Another Network")
    with pytest.raises(
        NetworkMismatchError, match="holds the network 'Test Network', the build is of 'Another Network'"
    ):
        builds.open_build(engine, other, resume=False)


@contextmanager
def _reading(url: str, stop: threading.Event) -> Iterator[list[tuple[int | None, set[int], int, int]]]:
    seen: list[tuple[int | None, set[int], int, int]] = []
    engine = connect(url)

    def read() -> None:
        while not stop.is_set():
            seen.append(visible(engine))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        engine.dispose()


def test_readers_see_the_old_state_or_the_new_one(url: str, engine: sa.Engine) -> None:
    states.build_and_publish(engine, 63)
    stop = threading.Event()
    with _reading(url, stop) as seen:
        for checkpoint in (127, 191, 255):
            states.build_and_publish(engine, checkpoint)
        while len(seen) < 50:
            time.sleep(0.01)
    assert all(found in (whole(63), whole(127), whole(191), whole(255)) for found in seen)


@pytest.mark.postgres
def test_a_reader_that_stays_keeps_its_state_and_publishing_waits(postgres_url: str) -> None:
    engine = states.migrated(postgres_url)
    states.build_and_publish(engine, 63)
    reader = connect(postgres_url)
    with reader.connect() as connection:
        ttl = STATE_TABLES["ttl"]
        assert set(connection.execute(sa.select(ttl.c.live_until_ledger)).scalars()) == {63}
        publishing = threading.Thread(target=states.build_and_publish, args=(engine, 127))
        publishing.start()
        time.sleep(3)
        assert publishing.is_alive()
        assert set(connection.execute(sa.select(ttl.c.live_until_ledger)).scalars()) == {63}
        connection.rollback()
        publishing.join(timeout=20)
        assert set(connection.execute(sa.select(ttl.c.live_until_ledger)).scalars()) == {127}
    reader.dispose()
    engine.dispose()


@pytest.mark.postgres
def test_grants_are_kept_and_views_are_refused_by_name(postgres_url: str) -> None:
    engine = states.migrated(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("GRANT SELECT ON ttl TO PUBLIC")
        connection.exec_driver_sql("GRANT SELECT, INSERT ON ttl TO pg_monitor WITH GRANT OPTION")
        connection.exec_driver_sql("CREATE VIEW signers_view AS SELECT account_id FROM accounts_signers")
    with pytest.raises(DatabaseError, match=r"signers_view \(on accounts_signers\)"):
        builds.open_build(engine, plan(63), resume=False)
    grants = "SELECT relacl::text FROM pg_class WHERE relname = 'ttl'"
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP VIEW signers_view")
        before = connection.exec_driver_sql(grants).scalar_one()
    states.build_and_publish(engine, 63)
    with engine.connect() as connection:
        assert sorted(connection.exec_driver_sql(grants).scalar_one()) == sorted(before)
    engine.dispose()
