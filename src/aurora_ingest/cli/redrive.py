"""The command `redrive`: what is in quarantine is tried again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from aurora_ingest.cli.options import database_option, json_option, logging_options, setting
from aurora_ingest.cli.source_options import (
    checkpoint_frequency_option,
    network_of,
    network_options,
    tables_option,
)
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.ledger.ledger_range import LedgerRange
    from aurora_ingest.ledger_backend.backend import LedgerBackend
    from aurora_ingest.network import Network
    from aurora_ingest.transforms.redrive import Redriven


@click.command(
    "redrive",
    short_help="Try again what is in quarantine.",
    epilog="\b\nExample:\n  aurora-ingest redrive --network pubnet --db-url sqlite:///history.db",
)
@network_options
@checkpoint_frequency_option
@setting(
    "--ledgers",
    "ledgers_url",
    metavar="URL",
    help="Where to read the ledgers anew, as for reingest-range; without it those in quarantine are decoded again.",
)
@setting(
    "--from",
    "first",
    type=click.IntRange(min=1),
    metavar="LEDGER",
    help="The first ledger; the lowest if not given.",
)
@setting(
    "--to",
    "last",
    type=click.IntRange(min=1),
    metavar="LEDGER",
    help="The last ledger; the highest if not given.",
)
@database_option
@setting(
    "--parquet",
    "parquet_dir",
    metavar="DIR",
    help="Folder of the Parquet dataset, or gs:// or s3:// address.",
)
@tables_option
@json_option
@logging_options
def redrive_command(
    *,
    network_name: str | None,
    network_passphrase: str | None,
    checkpoint_frequency: int | None,
    ledgers_url: str | None,
    first: int | None,
    last: int | None,
    db_url: str | None,
    parquet_dir: str | None,
    tables: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """Try again what is in quarantine: ledgers and transactions that did not decode, rows that the database refused.

    What can be stored now moves into its tables, ledger by ledger, with counts and receipts; the rest stays. Exit code
    1 when anything stays.
    """
    from aurora_ingest.ledger.ledger_range import LedgerRange
    from aurora_ingest.ledger.toid import LEDGER_MAX
    from aurora_ingest.transforms.processors import HISTORY_TABLES, history_by_table
    from aurora_ingest.transforms.redrive import Redriven

    if db_url is None and parquet_dir is None:
        raise UsageError("which quarantine? Give --db-url, --parquet or both")
    network = network_of(network_name, network_passphrase, checkpoint_frequency)
    ledgers = LedgerRange(first or 1, last or LEDGER_MAX)
    mended = None
    if ledgers_url is not None:
        from aurora_ingest.ledger_backend.detect import open_backend

        mended = open_backend(ledgers_url, network)
    names = tuple(process.spec.name for process in history_by_table(tables or HISTORY_TABLES))
    done = Redriven()
    if db_url is not None:
        done += _in_database(db_url, network, ledgers, names, mended)
    if parquet_dir is not None:
        done += _in_dataset(parquet_dir, network, ledgers, names, mended)
    if as_json:
        click.echo(json.dumps({"mended": done.mended, "stayed": done.stayed}))
    else:
        click.echo(f"{done.mended} records left the quarantine, {done.stayed} stayed in it")
    if done.stayed:
        click.get_current_context().exit(1)


def _in_database(
    db_url: str, network: Network, ledgers: LedgerRange, tables: tuple[str, ...], mended: LedgerBackend | None
) -> Redriven:
    from aurora_ingest.db.engine import connect
    from aurora_ingest.transforms.redrive import redrive_database

    engine = connect(db_url)
    try:
        return redrive_database(engine, network, ledgers, tables, mended)
    finally:
        engine.dispose()


def _in_dataset(
    folder: str, network: Network, ledgers: LedgerRange, tables: tuple[str, ...], mended: LedgerBackend | None
) -> Redriven:
    from aurora_ingest.transforms.history_dataset import existing_dataset
    from aurora_ingest.transforms.redrive import redrive_dataset

    return redrive_dataset(existing_dataset(folder, network.passphrase), network, ledgers, tables, mended)
