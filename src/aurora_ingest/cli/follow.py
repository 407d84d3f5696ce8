"""The command `follow`: its flags, its signals, and what it says."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from aurora_ingest.cli.follow_on_dataflow import follow_on_dataflow
from aurora_ingest.cli.follow_on_flink import (
    JobFlags,
    collect_job,
    default_node,
    flink_node,
    job_options,
    tell_job,
)
from aurora_ingest.cli.follow_plan import print_follow_plan
from aurora_ingest.cli.options import BeamCommand, database_option, logging_options, setting
from aurora_ingest.cli.source_options import (
    archive_option,
    bad_record_option,
    cache_options,
    checkpoint_frequency_option,
    engine_options,
    ledgers_option,
    network_of,
    network_options,
    takeover_option,
)
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.runners.launch import Engine, EngineChoice
    from aurora_ingest.system import System

_DEFAULT_HISTORY = "history_ledgers,history_transactions,history_operations,history_contract_events"


@click.command(
    "follow",
    cls=BeamCommand,
    short_help="Follow a network: build the state when needed, then write every ledger as it closes.",
    epilog="\b\nExample:\n  aurora-ingest follow --network testnet --ledgers gs://my-lake/ledgers "
    "--db-url postgresql://localhost/testnet",
)
@network_options
@checkpoint_frequency_option
@archive_option
@ledgers_option
@database_option
@setting(
    "--history-tables",
    default=_DEFAULT_HISTORY,
    metavar="NAME,…|none",
    show_default=True,
    help="History tables that are written with the state.",
)
@setting(
    "--order-book-depth",
    type=click.IntRange(0, 200),
    default=0,
    metavar="PRICES",
    show_default=True,
    help="Write order_book_levels, with so many prices on each side; 0 leaves that table alone.",
)
@setting(
    "--until",
    type=click.IntRange(min=1),
    metavar="LEDGER",
    help="Stop with exit code 0 once this ledger is in the database.",
)
@setting(
    "--poll-interval",
    type=click.FloatRange(min=0.01),
    default=1.0,
    metavar="SECONDS",
    show_default=True,
    help="Time between two looks for the next ledger.",
)
@setting(
    "--node",
    metavar="NAME",
    help="Name of this node, unique among those of the database; host and process if not given.",
)
@setting(
    "--deadline",
    type=click.FloatRange(min=0.5),
    default=30.0,
    metavar="SECONDS",
    show_default=True,
    help="How long a node may hold the cursor before another one ends its session.",
)
@takeover_option
@cache_options
@setting(
    "--verify-state-every",
    "verify_every",
    type=click.IntRange(min=0),
    default=1,
    metavar="CHECKPOINTS",
    show_default=True,
    help="Compare the state with the archive at every so many checkpoints, in the background; 0 never does.",
)
@setting(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve /metrics for Prometheus and /health on this port of the loopback address.",
)
@bad_record_option
@setting(
    "--dry-run",
    is_flag=True,
    help="Check source and database, print where the node would begin, tables, runner and steps, and write nothing.",
)
@engine_options
@job_options
@logging_options
@click.pass_context
def follow_command(
    ctx: click.Context,
    /,
    *,
    network_name: str | None,
    network_passphrase: str | None,
    checkpoint_frequency: int | None,
    archive_urls: tuple[str, ...],
    ledgers_url: str,
    db_url: str | None,
    history_tables: str,
    order_book_depth: int,
    until: int | None,
    poll_interval: float,
    node: str | None,
    deadline: float,
    takeover_after: float,
    cache_dir: Path | None,
    work_dir: str | None,
    verify_every: int,
    metrics_port: int | None,
    on_bad_record: str,
    dry_run: bool,
    choice: EngineChoice,
    job: JobFlags,
) -> None:
    """Follow a network and keep the tables exact at every ledger.

    Any number of nodes may follow into one PostgreSQL database: exactly one writes each ledger, the others see that it
    is written and take over when it stops. SIGTERM and SIGINT finish the group of ledgers in hand, or the state build,
    and exit with 0; asked twice it stops at once.
    """
    if db_url is None:
        raise UsageError("which database? Give --db-url or set AURORA_DB_URL")
    from aurora_ingest.db.heartbeat import node_name
    from aurora_ingest.ledger_backend.backend import BackendOptions
    from aurora_ingest.ledger_backend.detect import open_backend
    from aurora_ingest.pipelines.follow import FollowPlan
    from aurora_ingest.pipelines.options import BuildStateOptions
    from aurora_ingest.runners import launch
    from aurora_ingest.system import System, SystemOptions
    from aurora_ingest.transforms import metrics

    job.require_flink(choice)
    on_flink = choice.name == launch.FLINK
    on_engine = on_flink or choice.name == launch.DATAFLOW
    network = network_of(network_name, network_passphrase, checkpoint_frequency)
    plan = FollowPlan(
        network=network,
        backend=open_backend(ledgers_url, network, options=BackendOptions(poll_interval=poll_interval)),
        db_url=db_url,
        node=node or (default_node() if on_flink else node_name()),
        history_tables=_tables(history_tables),
        deadline_seconds=deadline,
        patience_seconds=0.0 if on_engine else poll_interval + 1,
        until=until,
        tick_seconds=poll_interval if on_engine else None,
        order_book_depth=order_book_depth,
        keep_going=on_bad_record == "quarantine",
    )
    if choice.name == launch.DATAFLOW and not dry_run:
        follow_on_dataflow(plan, ledgers_url, ctx.meta.get(BeamCommand.FLAGS, ()), choice)
        return
    urls = archive_urls or network.archive_urls
    build = BuildStateOptions(network=network, archive_urls=urls, db_url=db_url, cache_dir=cache_dir, work_dir=work_dir)
    options = SystemOptions(plan, urls, build, poll_interval, takeover_after, verify_every)
    flags = ctx.meta.get(BeamCommand.FLAGS, ())
    if dry_run:
        print_follow_plan(options, launch.choose_engine(flags, choice, db_url=db_url, streaming=True))
        return
    with _stopping() as stop, ExitStack() as stack:
        if on_flink:
            system: System = flink_node(options, flags, choice, job, stop)
        else:
            system = System(options, _engine_here(flags, choice, db_url), stop)
        stack.enter_context(metrics.subscribe(metrics.LoggingLedgerReporter(logging.getLogger("aurora_ingest.ledger"))))
        if metrics_port is not None:
            stack.enter_context(_served(metrics_port, system, network.newest_protocol))
        system.run()
    if on_flink and tell_job(system):
        return
    position, led = system.counts.position, system.counts.led
    click.echo(f"stopped at ledger {'none' if position is None else position}; wrote {led} of them")


def _engine_here(flags: tuple[str, ...], choice: EngineChoice, db_url: str) -> Engine:
    """Returns the engine of a node whose graph runs in this process.

    Raises:
        UsageError: another engine was named.
    """
    from aurora_ingest.runners import launch

    engine = launch.choose_engine(flags, choice, db_url=db_url, streaming=True)
    if engine.distributed:
        raise UsageError(f"follow runs in this process; {engine.name} takes the same graph as a streaming job")
    return engine


@contextmanager
def _served(port: int, system: System, newest_protocol: int) -> Iterator[None]:
    """Serves the node's figures for the time of a block."""
    from aurora_ingest.api.node_metrics import NodeMetrics
    from aurora_ingest.api.node_server import serving
    from aurora_ingest.transforms import metrics

    figures = NodeMetrics(newest_protocol, lambda: system.newest_read)
    collect_job(figures.registry, system)
    with metrics.subscribe(figures), serving(port, figures.registry, system.health) as at:
        logging.getLogger(__name__).info("Figures are served", extra={"url": f"http://127.0.0.1:{at}/metrics"})
        yield


def _tables(value: str) -> tuple[str, ...]:
    if value == "none":
        return ()
    from aurora_ingest.transforms.processors import HISTORY_TABLES, history_by_table

    names = tuple(name.strip() for name in value.split(",") if name.strip())
    history_by_table(names)
    return tuple(name for name in HISTORY_TABLES if name in names)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set for the time of a block."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # asked twice: at once
        stop.set()

    former = {each: signal.signal(each, ask) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
