"""The command `reingest-range`: its flags, and what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from aurora_ingest.cli.options import BeamCommand, database_option, json_option, logging_options, setting
from aurora_ingest.cli.source_options import (
    bad_record_option,
    checkpoint_frequency_option,
    chunk_workers_option,
    engine_options,
    give_memory_back,
    ledgers_option,
    network_of,
    network_options,
    range_options,
    tables_option,
    without_password,
)
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.pipelines.reingest_range import ReingestPlan
    from aurora_ingest.runners.launch import Engine, EngineChoice


@click.command(
    "reingest-range",
    cls=BeamCommand,
    short_help="Write the history of a range of ledgers, once or again.",
    epilog="\b\nExample:\n  aurora-ingest reingest-range --network pubnet --ledgers file:///lake --from 30822015 "
    "--to 30822025 --db-url sqlite:///history.db",
)
@network_options
@checkpoint_frequency_option
@ledgers_option
@range_options()
@database_option
@setting(
    "--parquet",
    "parquet_dir",
    metavar="DIR",
    help="Folder of the Parquet dataset, or gs:// or s3:// address; each table has its own folder there.",
)
@tables_option
@chunk_workers_option
@setting(
    "--chunk-ledgers",
    type=click.IntRange(min=1),
    default=1000,
    metavar="LEDGERS",
    show_default=True,
    help="Ledgers per chunk, which is replaced as a whole, and per Parquet partition; cut at absolute multiples.",
)
@setting(
    "--resume",
    is_flag=True,
    help="Leave out the chunks that an earlier run has written from the same kind of source.",
)
@bad_record_option
@engine_options
@setting(
    "--dry-run",
    is_flag=True,
    help="Check source and target, print ledgers, chunks, tables, an estimate, runner and steps, and write nothing.",
)
@json_option
@logging_options
@click.pass_context
def reingest_range_command(
    ctx: click.Context,
    /,
    *,
    network_name: str | None,
    network_passphrase: str | None,
    checkpoint_frequency: int | None,
    first: int,
    last: int,
    workers: int,
    on_bad_record: str,
    choice: EngineChoice,
    dry_run: bool,
    as_json: bool,
    **rest: Any,
) -> None:
    """Write the history tables of a range of ledgers, once or again.

    The range is inclusive at both ends and cut into chunks; each chunk replaces what was there of its ledgers, in one
    transaction or by one swap of files, so running it again changes nothing. It never takes the lock of the live
    cursor. Everything runs in this process, or on the --engine that is named; flags of Apache Beam stand after --.
    """
    give_memory_back(workers)
    from aurora_ingest.ledger.ledger_range import LedgerRange
    from aurora_ingest.pipelines import reingest_range
    from aurora_ingest.pipelines.options import ReingestOptions
    from aurora_ingest.runners import dataflow, launch

    network = network_of(network_name, network_passphrase, checkpoint_frequency)
    flags = ctx.meta.get(BeamCommand.FLAGS, ())
    options = ReingestOptions(
        network=network,
        ledgers=LedgerRange(first, last),
        keep_going=on_bad_record == "quarantine",
        workers=workers,
        **rest,
    )
    engine = launch.choose_engine(flags, choice, db_url=options.db_url)
    if engine.distributed and options.db_url is not None and options.db_url.startswith("sqlite"):
        raise UsageError(
            f"{engine.name} has workers in other processes and SQLite has one writer: "
            "give a postgresql:// URL, or leave the runner out"
        )
    if engine.name == launch.DATAFLOW:
        dataflow.refuse_local_places(
            {"--parquet": [options.parquet_dir], "--ledgers": [options.ledgers_url], "--db-url": [options.db_url]}
        )
    plan = reingest_range.plan_reingest(options)
    if not engine.distributed:
        engine = launch.choose_engine(launch.worker_flags(engine, plan.workers, flags))

    def graph(pipeline: Any) -> object:
        return reingest_range.reingest_range(pipeline, plan)

    if dry_run:
        _print_plan(plan, engine, launch.steps(graph, engine), as_json=as_json)
        return
    if plan.genesis:
        click.echo(plan.genesis, err=True)
    from aurora_ingest.cli.chunk_progress import show_chunks

    with reingest_range.open_targets(plan), show_chunks(len(plan.chunks)) as progress:
        if plan.chunks:
            launch.run(graph, engine)
    _print_summary(plan, progress.rows, as_json=as_json)


def _print_plan(plan: ReingestPlan, engine: Engine, steps: Sequence[str], *, as_json: bool) -> None:
    from aurora_ingest.pipelines.reingest_range import estimate

    guess = estimate(plan)
    facts: dict[str, Any] = {
        "network": plan.network.passphrase,
        "source": plan.backend.describe(),
        "ledgers": str(plan.ledgers),
        "genesis": plan.genesis or None,
        "chunk_ledgers": plan.chunk_ledgers,
        "chunks": len(plan.chunks),
        "chunks_done": len(plan.done),
        "estimated_bytes": guess,
        "database": without_password(plan.db_url),
        "parquet": plan.parquet_dir,
        "on_bad_record": "quarantine" if plan.keep_going else "stop",
        "workers": plan.workers,
        "runner": engine.name,
        "tables": list(plan.tables),
        "steps": list(steps),
    }
    from aurora_ingest.cli.output import print_facts

    print_facts(facts, as_json=as_json)


def _print_summary(plan: ReingestPlan, rows: dict[str, int], *, as_json: bool) -> None:
    """Prints what was written; engines whose workers are elsewhere tell no rows."""
    if as_json:
        summary = {
            "first": plan.ledgers.first,
            "last": plan.ledgers.last,
            "chunks": len(plan.chunks),
            "chunks_done": len(plan.done),
            "rows": rows,
        }
        click.echo(json.dumps(summary))
        return
    from aurora_ingest.cli.output import print_rows

    written = f"{len(plan.chunks)} chunk{'' if len(plan.chunks) == 1 else 's'} written"
    left_out = f", {len(plan.done)} left out that are there" if plan.done else ""
    title = f"History of ledgers {plan.ledgers}: {written}{left_out}"
    if rows:
        print_rows(title, rows)
    else:
        click.echo(title)
