"""The command `verify-state`: the state of one checkpoint compared with the history archive."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aurora_ingest.cli.options import database_option, logging_options, setting
from aurora_ingest.cli.source_options import (
    archive_option,
    cache_options,
    checkpoint_frequency_option,
    network_of,
    network_options,
)
from aurora_ingest.cli.status import connected
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from aurora_ingest.state_verifier import Verification, VerifierOptions

_LOOK_SECONDS = 0.2


@click.command(
    "verify-state",
    short_help="Compare the state of a checkpoint with the history archive, row by row.",
    epilog="\b\nExample:\n  aurora-ingest verify-state --network testnet --db-url postgresql://localhost/testnet",
)
@network_options
@checkpoint_frequency_option
@archive_option
@database_option
@setting(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to wait for a node to bring the state to a checkpoint; without end if not given.",
)
@setting(
    "--archive-patience",
    "patience",
    type=click.FloatRange(min=0),
    default=300.0,
    metavar="SECONDS",
    show_default=True,
    help="How long to wait for the archive to have that checkpoint.",
)
@cache_options
@logging_options
def verify_state_command(
    *,
    network_name: str | None,
    network_passphrase: str | None,
    checkpoint_frequency: int | None,
    archive_urls: tuple[str, ...],
    db_url: str | None,
    wait_seconds: float | None,
    patience: float,
    cache_dir: Path | None,
    work_dir: str | None,
) -> None:
    """Compare every row of the state with the history archive, at the very ledger of a checkpoint.

    If the state stands at a checkpoint it is compared as it is, else at the next checkpoint that a following node
    brings it to; ledgers may go on meanwhile. A state that differs is marked, so that a node builds it again.
    """
    if db_url is None:
        raise UsageError("which database? Give --db-url or set AURORA_DB_URL")
    from aurora_ingest.db import schema
    from aurora_ingest.db.engine import refusals_told
    from aurora_ingest.db.heartbeat import node_name
    from aurora_ingest.db.verifier_books import SOUND
    from aurora_ingest.errors import StateError
    from aurora_ingest.pipelines.options import BuildStateOptions
    from aurora_ingest.state_verifier import VerifierOptions

    network = network_of(network_name, network_passphrase, checkpoint_frequency)
    urls = archive_urls or network.archive_urls
    if not urls:
        raise UsageError("which history archive? Give --history-archive-url")
    build = BuildStateOptions(network, urls, db_url=db_url, cache_dir=cache_dir, work_dir=work_dir)
    with connected(db_url) as engine:
        schema.require(engine)
        options = VerifierOptions(build, node_name(), patience_seconds=patience)
        lost = "the comparison lost its session, which a state build may have ended: `status` tells the outcome"
        with refusals_told(lost):
            done = _verification(engine, options, wait_seconds)
    for each in done.differences:
        click.echo(str(each))
    if done.outcome != SOUND:
        raise StateError(f"state of checkpoint {done.checkpoint}: {done.outcome}: {done.detail}")
    count = sum(done.entries.values())
    click.echo(
        f"state of checkpoint {done.checkpoint} is the archive's: {count} ledger entries in {done.seconds:.1f} s"
    )


def _verification(engine: sa.Engine, options: VerifierOptions, wait_seconds: float | None) -> Verification:
    """Waits for a checkpoint and verifies it."""
    from aurora_ingest.db import cursor, guards, live, verifier
    from aurora_ingest.errors import DatabaseError
    from aurora_ingest.state_verifier import verify

    began = time.monotonic()
    with live.alone(engine, live.VERIFIER) as is_alone:
        if not is_alone:
            raise DatabaseError("another node is verifying the state: try again when it has ended")
        while True:
            with verifier.pinned(engine, options.is_due) as state:
                if state is not None:
                    return verify(engine, state, options)
            with engine.connect() as connection:
                guards.check_network(connection, options.build.network.passphrase)
                last, is_invalid = cursor.read_last_ledger(connection), cursor.is_state_invalid(connection)
            if last is None or is_invalid:
                raise DatabaseError("the database holds no state that could be verified, or one that is known wrong")
            if wait_seconds is not None and time.monotonic() - began >= wait_seconds:
                raise DatabaseError(f"the state is at ledger {last}, which is no checkpoint: wait with --wait SECONDS")
            time.sleep(_LOOK_SECONDS)
