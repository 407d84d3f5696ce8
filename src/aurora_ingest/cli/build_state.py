"""The command `build-state`: its flags, and what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from aurora_ingest.cli.options import BeamCommand, database_option, json_option, logging_options, memory_option, setting
from aurora_ingest.cli.source_options import (
    archive_option,
    cache_options,
    checkpoint_frequency_option,
    engine_options,
    network_of,
    network_options,
    tables_option,
    takeover_option,
    trusted_ledger_option,
    without_password,
)
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.runners.launch import Engine, EngineChoice
    from aurora_ingest.transforms.build_plan import StateBuildPlan


def _checkpoint(_ctx: click.Context, _param: click.Parameter, value: str) -> int | None:
    """Reads a plain ledger number, or `latest` as None."""
    if value == "latest":
        return None
    if not (value.isascii() and value.isdigit()):
        raise click.BadParameter(f"{value!r} is neither a plain ledger number nor 'latest'")
    return int(value)


@click.command(
    "build-state",
    cls=BeamCommand,
    short_help="Make exact tables from a history archive's checkpoint.",
    epilog="\b\nExample:\n  aurora-ingest build-state --network testnet --db-url sqlite:///testnet.db",
)
@network_options
@archive_option
@setting(
    "--checkpoint",
    callback=_checkpoint,
    default="latest",
    metavar="N|latest",
    show_default=True,
    help="The ledger whose state is built; it has to be a checkpoint.",
)
@checkpoint_frequency_option
@trusted_ledger_option
@database_option
@setting(
    "--parquet",
    "parquet_dir",
    metavar="DIR",
    help="Folder of the Parquet datasets, or gs:// or s3:// address; each table has its own folder there.",
)
@tables_option
@setting(
    "--resume",
    is_flag=True,
    help="Go on with an unfinished build: finished key ranges are not done again.",
)
@setting(
    "--abandon",
    is_flag=True,
    help="Drop an unfinished build with its staging tables first.",
)
@takeover_option
@cache_options
@setting(
    "--spread/--stream",
    "spread",
    default=None,
    help="Spread key ranges over workers, or read in one streaming merge. Left out: spread on an engine only.",
)
@memory_option
@engine_options
@setting(
    "--strict-bucket-algebra",
    is_flag=True,
    help="Stop at a record that breaks the INIT rule of the bucket list; without it such records are counted.",
)
@setting(
    "--dry-run",
    is_flag=True,
    help="Verify the checkpoint, print ledger, tables, runner and steps, and write nothing.",
)
@json_option
@logging_options
@click.pass_context
def build_state_command(
    ctx: click.Context,
    /,
    *,
    network_name: str | None,
    network_passphrase: str | None,
    archive_urls: tuple[str, ...],
    checkpoint: int | None,
    checkpoint_frequency: int | None,
    db_url: str | None,
    spread: bool | None,
    memory: int,
    choice: EngineChoice,
    dry_run: bool,
    as_json: bool,
    **rest: Any,
) -> None:
    """Make exact tables from one checkpoint of a history archive.

    Every byte is proved from the checkpoint's ledger header before anything becomes visible. The tables go to a
    database (--db-url), to Parquet (--parquet) or to both. Everything runs in this process, or on the --engine that is
    named. Flags of Apache Beam stand after --.
    """
    network = network_of(network_name, network_passphrase, checkpoint_frequency)
    urls = archive_urls or network.archive_urls
    if not urls:
        raise UsageError(f"network {network.name} has no archive that is known: give --history-archive-url")
    if db_url is None and rest["parquet_dir"] is None:
        raise UsageError("a state build needs a target: give --db-url, --parquet or both")
    from aurora_ingest.pipelines import build_state
    from aurora_ingest.pipelines.options import BuildStateOptions
    from aurora_ingest.runners import dataflow, launch

    engine = launch.choose_engine(ctx.meta.get(BeamCommand.FLAGS, ()), choice, db_url=db_url)
    _check_engine(engine, db_url, rest["work_dir"])
    if engine.name == launch.DATAFLOW:
        dataflow.refuse_local_places(
            {
                "--parquet": [rest["parquet_dir"]],
                "--work-dir": [rest["work_dir"]],
                "--db-url": [db_url],
                "--history-archive-url": urls,
            }
        )
    plan = build_state.plan_state_build(
        BuildStateOptions(
            network=network,
            archive_urls=urls,
            checkpoint=checkpoint,
            db_url=db_url,
            spread=engine.distributed if spread is None else spread,
            **rest,
        ),
        memory,
    )
    if dry_run:
        inner = build_state.stage_steps(plan)
        outer = launch.steps(lambda pipeline: build_state.build_state(pipeline, plan), engine)
        steps = [name for step in outer for name in (step, *(f"{step}/{each}" for each in inner.get(step, ())))]
        _print_plan(plan, engine, steps, memory, as_json=as_json)
        return
    plan = build_state.open_sinks(plan)
    from aurora_ingest.cli.progress import show_progress

    with show_progress() as progress:
        launch.run(lambda pipeline: build_state.build_state(pipeline, plan), engine)
    _print_summary(plan, progress.rows, as_json=as_json)


def _check_engine(engine: Engine, db_url: str | None, work_dir: str | None) -> None:
    """Refuses targets that workers in other processes cannot share.

    Raises:
        UsageError: SQLite, or no work directory, on a distributed engine.
    """
    if not engine.distributed:
        return
    if db_url is not None and db_url.startswith("sqlite"):
        raise UsageError(
            f"{engine.name} has workers in other processes and SQLite has one writer: "
            "give a postgresql:// URL, or leave the runner out"
        )
    if work_dir is None:
        raise UsageError(f"{engine.name} has workers in other processes: give a --work-dir that all of them share")


def _print_plan(plan: StateBuildPlan, engine: Engine, steps: Sequence[str], memory: int, *, as_json: bool) -> None:
    facts: dict[str, Any] = {
        "network": plan.network.passphrase,
        "checkpoint": plan.checkpoint,
        "ledger_hash": plan.ledger_hash,
        "protocol_version": plan.protocol_version,
        "buckets": len(plan.buckets),
        "build_id": plan.build_id,
        "runner": engine.name,
        "reading": "key ranges spread over workers" if plan.spread else "one streaming merge",
        "memory": f"{memory / (1 << 20):.0f} MiB, {plan.split.segments_per_range} segments per key range",
        "database": without_password(plan.db_url),
        "parquet": plan.parquet_dir,
        "work_dir": plan.work_dir,
        "tables": list(plan.tables),
        "steps": list(steps),
    }
    from aurora_ingest.cli.output import print_facts

    print_facts(facts, as_json=as_json)


def _print_summary(plan: StateBuildPlan, rows: dict[str, int] | None, *, as_json: bool) -> None:
    """Prints what became visible; engines whose workers are elsewhere tell no rows, then only the ledger is said."""
    if as_json:
        summary = {
            "checkpoint": plan.checkpoint,
            "ledger_hash": plan.ledger_hash,
            "build_id": plan.build_id,
            "rows": rows,
        }
        click.echo(json.dumps(summary))
        return
    title = f"State at ledger {plan.checkpoint}"
    if not rows:
        click.echo(title)
        return
    from aurora_ingest.cli.output import print_rows

    print_rows(title, rows)
