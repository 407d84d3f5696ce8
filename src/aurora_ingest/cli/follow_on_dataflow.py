"""Following as a streaming job on Dataflow: judged here, sent, and left to the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aurora_ingest.errors import DatabaseError

if TYPE_CHECKING:
    from aurora_ingest.pipelines.follow import FollowPlan
    from aurora_ingest.runners.launch import EngineChoice


def follow_on_dataflow(plan: FollowPlan, ledgers_url: str, flags: tuple[str, ...], choice: EngineChoice) -> None:
    """Sends the job, or writes its template, and says the job's id on standard output.

    The database must have a state: no build runs inside a streaming job.

    Args:
        plan: what is followed; with the time between two ticks.
        ledgers_url: the source as it was named.
        flags: Beam's flags.
        choice: the engine.

    Raises:
        UsageError: an option that Dataflow cannot take.
        DatabaseError: the database has no state.
    """
    from aurora_ingest.db.cursor import read_last_ledger
    from aurora_ingest.db.engine import connect
    from aurora_ingest.pipelines.follow import build_follow
    from aurora_ingest.runners import dataflow, launch
    from aurora_ingest.runners.ticks import PeriodicTicks

    engine = launch.choose_engine(flags, choice, db_url=plan.db_url, streaming=True)
    dataflow.refuse_local_places({"--ledgers": [ledgers_url], "--db-url": [plan.db_url]})
    database = connect(plan.db_url)
    try:
        with database.connect() as connection:
            last = read_last_ledger(connection)
    finally:
        database.dispose()
    if not last:
        raise DatabaseError("the database has no state to follow from: run build-state first, on any engine")
    ticks = PeriodicTicks(plan.tick_seconds or 1.0)
    job = dataflow.run(lambda pipeline: build_follow(pipeline, plan, ticks), engine)
    click.echo(job if job is not None else "the template is written")
