"""What `follow --dry-run` says: where a node would begin, what it would write, and by which steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aurora_ingest.cli.output import print_facts
from aurora_ingest.cli.source_options import without_password

if TYPE_CHECKING:
    import apache_beam as beam

    from aurora_ingest.runners.launch import Engine
    from aurora_ingest.system import SystemOptions


def print_follow_plan(options: SystemOptions, engine: Engine) -> None:
    """Prints range, tables, runner and steps, and writes nothing.

    Args:
        options: what a node is asked to do.
        engine: where its graph would run.

    Raises:
        BackendError: the source is not there.
        MigrationError: the schema is not ours, or of a newer version.
        NetworkMismatchError: the database holds another network.
    """
    from aurora_ingest.pipelines.follow import build_follow
    from aurora_ingest.runners import launch

    plan = options.follow

    def graph(pipeline: beam.Pipeline) -> None:
        build_follow(pipeline, plan, _ticks(engine, plan.tick_seconds or 1.0))  # anew: Dataflow builds it twice

    there = plan.backend.available()
    facts: dict[str, Any] = {
        "network": plan.network.passphrase,
        "source": plan.backend.describe(),
        "source_holds": "not known" if there is None else f"ledgers {there}",
        "database": without_password(plan.db_url),
        "begins": _beginning(options),
        "until": plan.until,
        "node": plan.node,
        "on_bad_record": "quarantine" if plan.keep_going else "stop",
        "verifies_every": plan.network.checkpoint_frequency * options.verify_every or None,
        "runner": engine.name,
        "state_tables": list(plan.rules.state_tables),
        "history_tables": list(plan.rules.history_tables),
        "order_book_depth": plan.order_book_depth or None,
        "steps": launch.steps(graph, engine),
    }
    print_facts(facts, as_json=False)


def _ticks(engine: Engine, seconds: float) -> beam.PTransform:
    """What makes the graph run on the engine."""
    from aurora_ingest.runners import launch
    from aurora_ingest.runners.local import one_tick
    from aurora_ingest.runners.ticks import FlinkTicks, PeriodicTicks

    if engine.name == launch.DATAFLOW:
        return PeriodicTicks(seconds)
    return FlinkTicks(seconds) if engine.name == launch.FLINK else one_tick(0)


def _beginning(options: SystemOptions) -> str:
    """The ledger that a node would go on after, or the checkpoint that it would build first."""
    from aurora_ingest.db import lost_state, schema
    from aurora_ingest.db.engine import connect
    from aurora_ingest.db.found_state import Found, look
    from aurora_ingest.history_archive.archive import HistoryArchive
    from aurora_ingest.pipelines.checkpoint_choice import checkpoint_to_build

    plan = options.follow
    engine = connect(plan.db_url)
    try:
        schema.require(engine)
        found, last = look(engine, plan.network.passphrase)
        with engine.connect() as connection:
            lost = lost_state.lost_at(connection)
    finally:
        engine.dispose()
    if found is Found.STATE:
        return f"after ledger {last}"
    if not options.archive_urls:
        return "with a state build, for which --history-archive-url is not given"
    archive = HistoryArchive(options.archive_urls, plan.network)
    checkpoint = checkpoint_to_build(archive, plan.network.checkpoint_frequency, plan.until, lost)
    return f"with a state build from checkpoint {checkpoint}"
