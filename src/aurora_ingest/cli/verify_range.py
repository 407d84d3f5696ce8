"""The command `verify-range`: its flags, and what it says."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from aurora_ingest.cli.options import BeamCommand, logging_options, setting
from aurora_ingest.cli.source_options import (
    archive_option,
    cache_options,
    checkpoint_frequency_option,
    network_of,
    network_options,
    range_options,
    trusted_ledger_option,
)
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.runners.launch import Engine
    from aurora_ingest.transforms.verify_plan import VerifyPlan


@click.command(
    "verify-range",
    cls=BeamCommand,
    short_help="Prove a range of ledgers by hashes, signatures, supply and states.",
    epilog="\b\nExample:\n  aurora-ingest verify-range --network testnet --from 1 --to 8063",
)
@network_options
@archive_option
@setting(
    "--ledgers",
    "ledgers_url",
    metavar="URL",
    help="Where the ledgers come from: a data lake, a stream of LedgerCloseMeta, core-db+…; left out: the archive.",
)
@range_options()
@checkpoint_frequency_option
@trusted_ledger_option
@setting(
    "--state/--no-state",
    "read_buckets",
    default=True,
    show_default=True,
    help="Read all entries of every checkpoint in the range from the archive, for supply and state.",
)
@setting(
    "--parquet",
    "parquet_dir",
    metavar="DIR",
    help="Folder, or gs:// or s3:// address, of the verdicts as Parquet; those of an earlier run are replaced.",
)
@setting(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or one JSON document.",
)
@setting(
    "--rows",
    type=click.Choice(["bad", "all"]),
    default="bad",
    show_default=True,
    help="Show only the ledgers that are bad (the first 100), or every ledger.",
)
@cache_options
@setting(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    show_default=True,
    help="Chunks of ledgers and states that this process works on at the same time.",
)
@setting(
    "--dry-run",
    is_flag=True,
    help="Print ledgers, chunks, checkpoints, runner and steps, and verify nothing.",
)
@logging_options
@click.pass_context
def verify_range_command(
    ctx: click.Context,
    /,
    *,
    network_name: str | None,
    network_passphrase: str | None,
    first: int,
    last: int,
    checkpoint_frequency: int | None,
    form: str,
    rows: str,
    workers: int,
    dry_run: bool,
    work_dir: str | None,
    **rest: Any,
) -> None:
    """Prove a range of ledgers, and say of each what holds.

    The range is inclusive at both ends. Each ledger gets a verdict per column: header hash, chain link, transaction
    set, results, transaction hashes, bucket list, signature, supply, state. The exit code is 1 if one of them is bad,
    and the message names the first. Flags of Apache Beam stand after --; without them everything runs in this process.
    """
    from aurora_ingest.cli.chunk_progress import show_chunks
    from aurora_ingest.ledger.ledger_range import LedgerRange
    from aurora_ingest.pipelines import verify_range
    from aurora_ingest.pipelines.options import VerifyOptions
    from aurora_ingest.runners import launch

    network = network_of(network_name, network_passphrase, checkpoint_frequency)
    flags = ctx.meta.get(BeamCommand.FLAGS, ())
    engine = launch.choose_engine(flags)
    engine = launch.choose_engine(launch.worker_flags(engine, workers, flags))
    with _work_folder(engine, work_dir) as folder:
        plan = verify_range.plan_verification(
            VerifyOptions(network=network, ledgers=LedgerRange(first, last), work_dir=folder, **rest)
        )
        if engine.distributed and not plan.backend.repeatable:
            raise UsageError(
                f"{engine.name} has workers in other processes, which cannot read {plan.backend.describe()}: "
                "give a file, or leave the runner out"
            )

        def graph(pipeline: Any) -> object:
            return verify_range.verify_range(pipeline, plan)

        if dry_run:
            _print_plan(plan, engine.name, launch.steps(graph, engine), as_json=form == "json")
            return
        with show_chunks(len(plan.chunks), doing="Verifying ledgers", done="Ledgers verified"):
            launch.run(graph, engine)
        report = verify_range.read_report(plan)
        _show(plan, report, as_json=form == "json", all_rows=rows == "all")
    verify_range.require_good(report)


@contextmanager
def _work_folder(engine: Engine, work_dir: str | None) -> Iterator[str]:
    """Gives the work directory; one that nobody named is removed at the end.

    Raises:
        UsageError: none was named and the workers are elsewhere.
    """
    if work_dir is not None:
        yield work_dir
        return
    if engine.distributed:
        raise UsageError(f"{engine.name} has workers in other processes: give a --work-dir that all of them share")
    with tempfile.TemporaryDirectory(prefix="aurora-verify-") as folder:
        yield folder


def _print_plan(plan: VerifyPlan, runner: str, steps: list[str], *, as_json: bool) -> None:
    facts: dict[str, Any] = {
        "network": plan.network.passphrase,
        "from": plan.ledgers.first,
        "to": plan.ledgers.last,
        "source": plan.backend.describe(),
        "archive": None if plan.archive is None else ", ".join(plan.archive.urls),
        "trusted_ledger": None if plan.trusted is None else ":".join(map(str, plan.trusted)),
        "chunks": len(plan.chunks),
        "checkpoints": len(plan.checkpoints),
        "states_read": len(plan.states) if plan.read_buckets else 0,
        "states_rebuilt": len(plan.pairs),
        "runner": runner,
        "parquet": plan.parquet_dir,
        "steps": steps,
    }
    from aurora_ingest.cli.output import print_facts

    print_facts(facts, as_json=as_json)


def _show(plan: VerifyPlan, report: dict[str, Any], *, as_json: bool, all_rows: bool) -> None:
    from aurora_ingest.transforms.verify_report import read_verdicts

    parts = (batch.to_pylist() for batch in read_verdicts(plan, report)) if all_rows else iter([report["told"]])
    if as_json:
        _print_json(plan, report, parts)
        return
    from aurora_ingest.cli.verdicts import print_rows, print_summary

    print_rows(parts)
    print_summary(plan, report)


def _print_json(plan: VerifyPlan, report: dict[str, Any], parts: Iterator[list[dict[str, Any]]]) -> None:
    """Prints one document: the summary, then the rows as they come, so that a long range is never held whole."""
    summary = {
        "network": plan.network.passphrase,
        "from": plan.ledgers.first,
        "to": plan.ledgers.last,
        "source": plan.backend.describe(),
        "archive": None if plan.archive is None else list(plan.archive.urls),
        **{name: report[name] for name in ("ledgers", "bad_ledgers", "first_bad", "hint", "counts")},
    }
    click.echo(json.dumps(summary)[:-1] + ', "rows": [', nl=False)
    separator = ""
    for part in parts:
        for row in part:
            click.echo(f"{separator}\n{json.dumps(row)}", nl=False)
            separator = ","
    click.echo("\n]}" if separator else "]}")
