"""The command `write-order-books`: its flags, and what it says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from aurora_ingest.cli.options import BeamCommand, database_option, json_option, logging_options, setting
from aurora_ingest.cli.source_options import (
    archive_option,
    checkpoint_frequency_option,
    ledgers_option,
    network_of,
    network_options,
    range_options,
    without_password,
)
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.ledger.ledger_range import LedgerRange
    from aurora_ingest.network import Network
    from aurora_ingest.pipelines.order_books import OrderBookPlan


@click.command(
    "write-order-books",
    cls=BeamCommand,
    short_help="Write the history of order books of a range of ledgers, once or again.",
    epilog="\b\nExample:\n  aurora-ingest write-order-books --network testnet --ledgers gs://my-lake/ledgers "
    "--from 1410048 --to 1410303 --parquet books",
)
@network_options
@checkpoint_frequency_option
@archive_option
@ledgers_option
@range_options()
@setting(
    "--depth",
    type=click.IntRange(1, 200),
    default=10,
    metavar="PRICES",
    show_default=True,
    help="Most prices on each side of a book.",
)
@database_option
@setting(
    "--parquet",
    "parquet_dir",
    metavar="DIR",
    help="Folder of the Parquet dataset; the table has its own folder there.",
)
@setting(
    "--chunk-ledgers",
    type=click.IntRange(min=1),
    default=1000,
    metavar="LEDGERS",
    show_default=True,
    help="Ledgers per chunk, which is replaced as a whole, and per Parquet partition; cut at absolute multiples.",
)
@setting(
    "--dry-run",
    is_flag=True,
    help="Check source and targets, print where the books begin, ledgers, chunks and steps, and write nothing.",
)
@json_option
@logging_options
@click.pass_context
def write_order_books_command(
    ctx: click.Context,
    /,
    *,
    network_name: str | None,
    network_passphrase: str | None,
    checkpoint_frequency: int | None,
    archive_urls: tuple[str, ...],
    first: int,
    last: int,
    dry_run: bool,
    as_json: bool,
    **rest: Any,
) -> None:
    """Write order_book_levels: top, depth and sums of every pair's book after each ledger that changed it.

    The books begin with the checkpoint before the first ledger, proved by the archive, or with genesis; so the source
    has to have the ledgers from there on. Each chunk replaces what was there of its ledgers, so running it again
    changes nothing. It never takes the lock of the live cursor.
    """
    from aurora_ingest.ledger.ledger_range import LedgerRange
    from aurora_ingest.pipelines import order_books
    from aurora_ingest.runners import launch

    network = network_of(network_name, network_passphrase, checkpoint_frequency)
    options = order_books.OrderBookOptions(
        network=network, archive_urls=archive_urls or network.archive_urls, ledgers=LedgerRange(first, last), **rest
    )
    engine = launch.choose_engine(ctx.meta.get(BeamCommand.FLAGS, ()))
    if engine.distributed:
        raise UsageError(f"write-order-books runs in this process; {engine.name} takes the same graph as a batch job")
    plan = order_books.plan_order_books(options)
    if dry_run:
        graph = partial(order_books.write_order_books, plan=plan, spans=plan.spans, in_rounds=False)
        _print_plan(plan, launch.steps(graph, engine), as_json=as_json)
        return
    rows = write(plan)
    if as_json:
        click.echo(json.dumps({"first": first, "last": last, "start": plan.start, "rows": rows}))
        return
    from aurora_ingest.cli.output import print_rows

    print_rows(f"Order books of ledgers {plan.options.ledgers}, begun at ledger {plan.start}", rows)


def write(plan: OrderBookPlan) -> dict[str, int]:
    """Carries a plan out in this process, chunk by chunk; returns the rows by table."""
    from aurora_ingest.cli.chunk_progress import show_chunks
    from aurora_ingest.pipelines import order_books
    from aurora_ingest.runners import launch

    engine = launch.choose_engine([])
    rows: Counter[str] = Counter()
    with order_books.open_targets(plan), show_chunks(len(plan.spans)) as progress:
        for span in plan.spans:
            graph = partial(order_books.write_order_books, plan=plan, spans=(span,), in_rounds=True)
            launch.run(graph, engine)
        rows.update(progress.rows)
    return {name: count for name, count in rows.items() if name in plan.target.tables}


def fill(source: tuple[Network, tuple[str, ...], str], gaps: Sequence[LedgerRange], depth: int, db_url: str) -> None:
    """Writes the order books of ledgers that a database lacks; ledger 1 has none.

    Args:
        source: network, mirrors of its archive, and where ledgers come from.
        gaps: ascending ranges.
        depth: most prices on each side.
        db_url: the database.
    """
    from aurora_ingest.ledger.ledger_range import LedgerRange
    from aurora_ingest.pipelines import order_books

    for gap in gaps:
        if gap.last > 1:
            ledgers = LedgerRange(max(gap.first, 2), gap.last)
            options = order_books.OrderBookOptions(*source, ledgers, depth=depth, db_url=db_url)
            write(order_books.plan_order_books(options))


def _print_plan(plan: OrderBookPlan, steps: Any, *, as_json: bool) -> None:
    from aurora_ingest.cli.output import print_facts

    options = plan.options
    facts: dict[str, Any] = {
        "network": options.network.passphrase,
        "source": plan.backend.describe(),
        "ledgers": str(options.ledgers),
        "start": plan.start,
        "ledgers_read": str(plan.read),
        "depth": options.depth,
        "chunks": len(plan.spans),
        "database": without_password(options.db_url),
        "parquet": options.parquet_dir,
        "steps": list(steps),
    }
    print_facts(facts, as_json=as_json)
