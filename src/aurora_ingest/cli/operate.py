"""The commands of those who keep a system running: `trigger-rebuild`, `reap` and `fill-gaps`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from aurora_ingest.cli.options import BeamCommand, database_option, logging_options, setting
from aurora_ingest.cli.source_options import (
    archive_option,
    bad_record_option,
    checkpoint_frequency_option,
    chunk_workers_option,
    give_memory_back,
    ledgers_option,
    network_of,
    network_options,
)
from aurora_ingest.cli.status import connected
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.ledger.ledger_range import LedgerRange


@click.command(
    "trigger-rebuild",
    short_help="Have the state built again by a node that follows.",
    epilog="\b\nExample:\n  aurora-ingest trigger-rebuild --db-url postgresql://localhost/testnet",
)
@database_option
@logging_options
def trigger_rebuild_command(*, db_url: str | None) -> None:
    """Mark the state as wrong: one of the nodes that follow builds it again, readers see the old one until then."""
    with connected(db_url) as engine:
        from aurora_ingest.db import cursor, schema
        from aurora_ingest.db.engine import writing
        from aurora_ingest.errors import DatabaseError

        schema.require(engine)
        with writing(engine) as connection:
            last = cursor.read_last_ledger(connection, lock=True)
            if last is None:
                raise DatabaseError("the database holds no state that could be built again")
            cursor.write(connection, cursor.STATE_INVALID, "true")
    click.echo(f"the state at ledger {last} will be built again by the next node that follows")


@click.command(
    "reap",
    short_help="Delete the history of old ledgers.",
    epilog="\b\nExample:\n  aurora-ingest reap --db-url postgresql://localhost/testnet --keep-ledgers 120960",
)
@database_option
@setting(
    "--keep-ledgers",
    type=click.IntRange(min=1),
    metavar="N",
    required=True,
    help="How many ledgers up to the cursor keep their history.",
)
@logging_options
def reap_command(*, db_url: str | None, keep_ledgers: int) -> None:
    """Delete the history of all ledgers but the newest, oldest first, in small transactions beside nodes that follow.

    It can be stopped at any moment and run again. State tables are not touched.
    """
    with connected(db_url) as engine:
        from aurora_ingest.db.reap import reap

        reaped = reap(engine, keep_ledgers, told=lambda batch: click.echo(f"ledgers {batch} left", err=True))
    if reaped.ledgers is None:
        click.echo(f"nothing to reap: history begins at ledger {reaped.kept_from} or later")
    else:
        click.echo(f"history of ledgers {reaped.ledgers} has left; it begins at ledger {reaped.kept_from} now")


@click.command(
    "fill-gaps",
    cls=BeamCommand,
    short_help="Write the history that is missing below the cursor.",
    epilog="\b\nExample:\n  aurora-ingest fill-gaps --network testnet --ledgers gs://my-lake/ledgers "
    "--db-url postgresql://localhost/testnet",
)
@network_options
@checkpoint_frequency_option
@archive_option
@ledgers_option
@setting(
    "--order-book-depth",
    type=click.IntRange(0, 200),
    default=10,
    metavar="PRICES",
    show_default=True,
    help="Most prices on each side in order_book_levels, if that table has gaps; 0 leaves them.",
)
@setting(
    "--from",
    "first",
    type=click.IntRange(min=1),
    metavar="LEDGER",
    help="The first ledger that has to have history; the oldest one that has any if not given.",
)
@setting(
    "--to",
    "last",
    type=click.IntRange(min=1),
    metavar="LEDGER",
    help="The last such ledger; the cursor if not given.",
)
@database_option
@chunk_workers_option
@bad_record_option
@setting(
    "--dry-run",
    is_flag=True,
    help="Print the gaps and write nothing.",
)
@logging_options
@click.pass_context
def fill_gaps_command(
    ctx: click.Context,
    /,
    *,
    network_name: str | None,
    network_passphrase: str | None,
    checkpoint_frequency: int | None,
    archive_urls: tuple[str, ...],
    ledgers_url: str,
    order_book_depth: int,
    first: int | None,
    last: int | None,
    db_url: str | None,
    workers: int,
    on_bad_record: str,
    dry_run: bool,
) -> None:
    """Write the history tables of those ledgers up to the cursor that they have nothing of.

    Which ledgers a table has stands in the books, where an empty ledger is noted too. Every gap is a reingest-range,
    or for order_book_levels a write-order-books, which begins with a checkpoint of the archive. Flags of Apache Beam
    stand after --.
    """
    if db_url is None:
        raise UsageError("which database? Give --db-url or set AURORA_DB_URL")
    give_memory_back(workers)
    network = network_of(network_name, network_passphrase, checkpoint_frequency)
    with connected(db_url) as engine:
        from aurora_ingest.db import schema
        from aurora_ingest.db.gaps import read_gaps

        schema.require(engine)
        with engine.connect() as connection:
            gaps = read_gaps(connection, first, last)
    books = gaps.pop("order_book_levels", ())
    books = books if order_book_depth else ()
    for each in books:
        click.echo(f"order_book_levels: ledgers {each} are missing", err=True)
    by_range: dict[LedgerRange, list[str]] = {}
    for table, found in gaps.items():
        for each in found:
            by_range.setdefault(each, []).append(table)
            click.echo(f"{table}: ledgers {each} are missing", err=True)
    if not dry_run:
        from aurora_ingest.pipelines import reingest_range
        from aurora_ingest.pipelines.options import ReingestOptions
        from aurora_ingest.runners import launch

        flags = ctx.meta.get(BeamCommand.FLAGS, ())
        keep_going = on_bad_record == "quarantine"
        for each, tables in sorted(by_range.items(), key=lambda item: item[0].first):
            options = ReingestOptions(network, ledgers_url, each, db_url=db_url, tables=tuple(tables), workers=workers)
            plan = reingest_range.plan_reingest(replace(options, keep_going=keep_going))
            runner = launch.choose_engine(launch.worker_flags(launch.choose_engine(flags), plan.workers, flags))
            with reingest_range.open_targets(plan):
                launch.run(partial(reingest_range.reingest_range, plan=plan), runner)
        if books:
            from aurora_ingest.cli.write_order_books import fill

            source = (network, archive_urls or network.archive_urls, ledgers_url)
            fill(source, books, order_book_depth, db_url)
    found_gaps = [*by_range, *books]
    count, missing = len(found_gaps), sum(len(each) for each in found_gaps)
    what = f"{count} gap{'' if count == 1 else 's'} of {missing} ledger{'' if missing == 1 else 's'}"
    click.echo(f"{what if count else 'no gaps'}{'' if dry_run or not count else ' filled'}")
