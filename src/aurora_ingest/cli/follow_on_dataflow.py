"""Following as a streaming job on Dataflow: judged here, sent, and left to the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aurora_ingest.errors import DatabaseError

if TYPE_CHECKING:
    import apache_beam as beam

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
        UsageError: an option that Dataflow cannot take; living nodes write other history tables.
        DatabaseError: the database has no state, or one that has to be built anew.
        MigrationError: the schema is not ours, or the state of a newer version.
        NetworkMismatchError: the database holds another network.
        StateError: the state was built without some tables.
    """
    from aurora_ingest.db import schema
    from aurora_ingest.db.engine import connect
    from aurora_ingest.db.found_state import Found, look, require_tables
    from aurora_ingest.db.nodes import agree_on_history
    from aurora_ingest.pipelines.follow import build_follow
    from aurora_ingest.runners import dataflow, launch
    from aurora_ingest.runners.ticks import PeriodicTicks

    engine = launch.choose_engine(flags, choice, db_url=plan.db_url, streaming=True)
    dataflow.refuse_local_places({"--ledgers": [ledgers_url], "--db-url": [plan.db_url]})
    database = connect(plan.db_url)
    try:
        schema.require(database)
        found, _ = look(database, plan.network.passphrase)
        if found is not Found.STATE:
            raise DatabaseError(
                f"the database holds {found.value}, nothing to follow from: run build-state first, on any engine"
            )
        require_tables(database, plan.rules.state_tables)
        agree_on_history(database, plan.node, plan.history_tables)
    finally:
        database.dispose()

    def graph(pipeline: beam.Pipeline) -> None:
        build_follow(pipeline, plan, PeriodicTicks(plan.tick_seconds or 1.0))  # anew: it is built once to be judged

    job = dataflow.run(graph, engine)
    click.echo(job if job is not None else "the template is written")
