"""The books of state builds: who builds what, which units are done, and who may still write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from aurora_ingest.db import backends, cursor, guards, staging, takeover
from aurora_ingest.db.build_books import ingest_build_receipts, ingest_builds
from aurora_ingest.db.engine import clock, is_postgres, writing
from aurora_ingest.db.fencing import ABANDONED, BUILDING, PUBLISHED, Build, writing_build
from aurora_ingest.db.heartbeat import Heartbeat, beat, silence
from aurora_ingest.db.load import load_batch

__all__ = [
    "Build",
    "BuildPlan",
    "Heartbeat",
    "abandon_build",
    "finished",
    "open_build",
    "unfinished_builds",
    "write_unit",
]


@dataclass(frozen=True)
class BuildPlan:
    """What is going to be built.

    Attributes:
        build_id: hex name of the build, a hash of all that determines its result.
        checkpoint: ledger of the state.
        ledger_hash: hex hash of that ledger's header.
        network_passphrase: network of the archive.
        tables: state tables to build.
    """

    build_id: str
    checkpoint: int
    ledger_hash: str
    network_passphrase: str
    tables: tuple[str, ...]


@dataclass(frozen=True)
class UnfinishedBuild:
    """A build that was neither published nor abandoned.

    Attributes:
        build_id: hex name of the build.
        checkpoint: ledger of its state.
        epoch: how often it was taken up.
        units: units that are done.
        seconds_silent: time since its builder was last heard of.
    """

    build_id: str
    checkpoint: int
    epoch: int
    units: int
    seconds_silent: float


def open_build(engine: sa.Engine, plan: BuildPlan, *, resume: bool, takeover_after: float = 30.0) -> Build:
    """Starts a build with empty staging tables, or takes up the unfinished one of the same name.

    A resumed build that turns out to be published already, and is what readers see, is given back as it is: its units
    are done, and publishing it does nothing. If its state was found wrong since, it is built again.

    Args:
        engine: the target database.
        plan: what is going to be built.
        resume: take up an unfinished build; without it one is refused.
        takeover_after: seconds without a heartbeat after which the former builder counts as gone.

    Raises:
        UnfinishedBuildError: another build is unfinished, or this one and `resume` was not given, or its builder lives,
            or it is published and the state has moved on since.
        MigrationError: the schema is not ours.
        NetworkMismatchError: the database holds another network.
        DatabaseError: things hang on the tables that would be lost, or the build's tables would stand beside rows of
            another ledger.
    """
    guards.check_target(engine, plan.network_passphrase, plan.checkpoint, plan.tables)
    with writing(engine) as connection:
        _one_at_a_time(connection)
        open_rows = connection.execute(sa.select(ingest_builds).where(ingest_builds.c.status == BUILDING)).all()
        for row in open_rows:
            takeover.refuse_unless_same(
                connection, row, plan.build_id, plan.checkpoint, resume=resume, takeover_after=takeover_after
            )
            backends.end(connection, row.build_id)
        former = connection.execute(sa.select(ingest_builds).where(ingest_builds.c.build_id == plan.build_id)).first()
        if (
            resume
            and former is not None
            and former.status == PUBLISHED
            and takeover.is_visible(connection, plan.build_id, plan.checkpoint)
        ):
            return Build(plan.build_id, int(former.epoch), plan.tables, plan.network_passphrase)
        epoch = 1 if former is None else int(former.epoch) + 1
        facts = {
            "checkpoint": plan.checkpoint,
            "ledger_hash": plan.ledger_hash,
            "network_passphrase": plan.network_passphrase,
            "tables": json.dumps(plan.tables),
            "version": cursor.CURRENT_VERSION,
            "epoch": epoch,
            "status": BUILDING,
            "started_at": clock(connection),
            "finished_at": None,
        }
        if former is None:
            connection.execute(sa.insert(ingest_builds).values(build_id=plan.build_id, **facts))
        else:
            of_build = ingest_builds.c.build_id == plan.build_id
            connection.execute(sa.update(ingest_builds).where(of_build).values(**facts))
        if not open_rows:
            _forget_units(connection, plan.build_id)
            staging.create(connection, plan.build_id, plan.tables)
        build = Build(plan.build_id, epoch, plan.tables, plan.network_passphrase)
        beat(connection, build.build_id, build.epoch)
    return build


def abandon_build(engine: sa.Engine, build_id: str | None = None) -> int:
    """Drops unfinished builds with their staging tables; whoever still writes them is refused from then on.

    Args:
        engine: the target database.
        build_id: one build, or None for all.

    Returns:
        How many builds were dropped.
    """
    with writing(engine) as connection:
        _one_at_a_time(connection)
        query = sa.select(ingest_builds.c.build_id, ingest_builds.c.tables).where(ingest_builds.c.status == BUILDING)
        if build_id is not None:
            query = query.where(ingest_builds.c.build_id == build_id)
        dropped = connection.execute(query).all()
        for row in dropped:
            backends.end(connection, row.build_id)
            of_build = ingest_builds.c.build_id == row.build_id
            raised = {"epoch": ingest_builds.c.epoch + 1, "status": ABANDONED, "finished_at": clock(connection)}
            connection.execute(sa.update(ingest_builds).where(of_build).values(**raised))
            _forget_units(connection, row.build_id)
            staging.drop(connection, row.build_id, json.loads(row.tables))
    return len(dropped)


def unfinished_builds(connection: sa.Connection) -> tuple[UnfinishedBuild, ...]:
    """Returns the builds that were neither published nor abandoned, oldest first; `connection` is in a transaction."""
    units = (
        sa.select(sa.func.count())
        .where(ingest_build_receipts.c.build_id == ingest_builds.c.build_id)
        .scalar_subquery()
        .label("units")
    )
    query = sa.select(ingest_builds, units).where(ingest_builds.c.status == BUILDING).order_by("started_at", "build_id")
    return tuple(
        UnfinishedBuild(row.build_id, row.checkpoint, row.epoch, row.units, silence(connection, row.build_id))
        for row in connection.execute(query).all()
    )


def published_tables(connection: sa.Connection) -> tuple[str, ...] | None:
    """Returns the tables of the build that was published last, None if there was none."""
    query = sa.select(ingest_builds.c.tables).where(ingest_builds.c.status == PUBLISHED)
    tables = connection.execute(query.order_by(ingest_builds.c.finished_at.desc()).limit(1)).scalar_one_or_none()
    return None if tables is None else tuple(json.loads(tables))


def finished(engine: sa.Engine, build: Build) -> dict[tuple[str, int], dict[str, Any]]:
    """Returns the payloads of the units that are done, by (kind, index)."""
    receipts = ingest_build_receipts.c
    query = sa.select(receipts.kind, receipts.unit, receipts.payload).where(receipts.build_id == build.build_id)
    with engine.connect() as connection:
        return {(row.kind, row.unit): json.loads(row.payload) for row in connection.execute(query)}


def write_unit(
    engine: sa.Engine,
    build: Build,
    kind: str,
    index: int,
    payload: Mapping[str, Any],
    tables: Mapping[str, pa.RecordBatch],
) -> dict[str, Any]:
    """Writes the rows of one unit and its receipt in one transaction, unless it was done before.

    Args:
        engine: the target database.
        build: the right to write.
        kind: kind of the unit.
        index: number of the unit among its kind.
        payload: what the receipt keeps, JSON.
        tables: rows by state table.

    Returns:
        The payload that the database holds: the older one when the unit was done before.

    Raises:
        FencedError: another builder has taken the build over, or it was abandoned or published.
        RowRejectedError: a value does not fit its column; nothing of the unit was written.
    """
    receipts = ingest_build_receipts
    insert = (postgresql if engine.dialect.name == "postgresql" else sqlite).insert(receipts)
    values = {
        "build_id": build.build_id,
        "kind": kind,
        "unit": index,
        "epoch": build.epoch,
        "payload": json.dumps(payload, sort_keys=True),
    }
    with writing_build(engine, build) as (connection, _):
        statement = insert.values(**values).on_conflict_do_nothing().returning(receipts.c.unit)
        if connection.execute(statement).first() is None:
            place = (receipts.c.build_id == build.build_id) & (receipts.c.kind == kind) & (receipts.c.unit == index)
            stored: dict[str, Any] = json.loads(
                connection.execute(sa.select(receipts.c.payload).where(place)).scalar_one()
            )
            return stored
        for table, batch in tables.items():
            load_batch(connection, table, batch, into=staging.name(build.build_id, table))
    return dict(payload)


def _forget_units(connection: sa.Connection, build_id: str) -> None:
    receipts = ingest_build_receipts
    connection.execute(sa.delete(receipts).where(receipts.c.build_id == build_id))


def _one_at_a_time(connection: sa.Connection) -> None:
    """Lets builders open and drop builds one after the other; SQLite has one writer anyway."""
    if is_postgres(connection):
        connection.exec_driver_sql("SET LOCAL lock_timeout = '60s'")
        connection.exec_driver_sql("LOCK TABLE ingest_build_heartbeats IN SHARE ROW EXCLUSIVE MODE")
