"""The commands `status` and `db migrate|status`: what a database holds and how its schema stands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from aurora_ingest.cli.options import database_option, json_option, logging_options
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine


@click.command(
    "status",
    short_help="Show cursor, version, rows and unfinished builds of a database.",
    epilog="\b\nExample:\n  aurora-ingest status --db-url sqlite:///testnet.db",
)
@database_option
@json_option
@logging_options
def status_command(*, db_url: str | None, as_json: bool) -> None:
    """Show the ledger that a database stands at, the version that wrote it, its rows and its unfinished builds."""
    with connected(db_url) as engine:
        from aurora_ingest.db.cursor import CURRENT_VERSION
        from aurora_ingest.db.status import read_status

        status = read_status(engine)
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(status), "current_version": CURRENT_VERSION}, default=str))
        return
    click.echo(f"ledger:          {'none' if status.last_ledger is None else status.last_ledger}")
    click.echo(
        f"version:         {'none' if status.version is None else status.version} (this build: {CURRENT_VERSION})"
    )
    click.echo(f"state is valid:  {'no' if status.state_invalid else 'yes'}")
    for each in status.verified:
        told = f"checkpoint {each.checkpoint}, {each.outcome}, {each.seconds_ago:.0f} s ago by {each.node}"
        click.echo(f"verified:        {told}{f': {each.detail}' if each.detail else ''}")
    click.echo(f"unfinished:      {len(status.unfinished) or 'none'}")
    for build in status.unfinished:
        click.echo(f"  {build}")
    if status.leader is not None and status.seconds_since_commit is not None:
        click.echo(f"last commit:     {status.seconds_since_commit:.0f} s ago by {status.leader}")
    click.echo(f"nodes:           {len(status.nodes) or 'none'}")
    for node in status.nodes:
        at = "before its first ledger" if node.position is None else f"at ledger {node.position}"
        click.echo(f"  {node.node}, version {node.version}, {at}, heard of {node.seconds_silent:.0f} s ago")
    click.echo(f"gaps:            {'' if status.gaps else 'none'}")
    for table, ranges in status.gaps.items():
        click.echo(f"  {table}: ledgers {', '.join(ranges)}")
    from aurora_ingest.cli.output import print_rows

    print_rows("Rows", status.rows)


@click.group("db", short_help="Create the schema of a database, or show how it stands.")
def db_group() -> None:
    """Create the schema of a database, or show how it stands."""


@db_group.command("migrate")
@database_option
@logging_options
def migrate_command(*, db_url: str | None) -> None:
    """Bring the schema of a database to this version.

    A database that Horizon has migrated is refused.
    """
    with connected(db_url) as engine:
        from aurora_ingest.db import schema

        schema.migrate(engine)
        click.echo(f"schema is at {schema.status(engine).current}")


@db_group.command("status")
@database_option
@json_option
@logging_options
def schema_status_command(*, db_url: str | None, as_json: bool) -> None:
    """Show the schema revision of a database and the one that this version needs."""
    with connected(db_url) as engine:
        from aurora_ingest.db import schema

        status = schema.status(engine)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(status)))
        return
    click.echo(f"current:  {status.current or 'no schema'}")
    click.echo(f"needed:   {status.head}")


@contextmanager
def connected(db_url: str | None) -> Iterator[Engine]:
    """Opens the database and closes it after the block.

    Raises:
        UsageError: there is no URL.
    """
    if db_url is None:
        raise UsageError("which database? Give --db-url or set AURORA_DB_URL")
    from aurora_ingest.db.engine import connect

    engine = connect(db_url)
    try:
        yield engine
    finally:
        engine.dispose()
