"""The command `serve`: its flags, and the end of the service."""

from __future__ import annotations

import logging
import os
from typing import Any

import click

from aurora_ingest.cli.options import database_option, logging_options, setting
from aurora_ingest.errors import AuroraError, UsageError


@click.command(
    "serve",
    short_help="Serve state, history, order books and payment paths over HTTP, as Horizon does.",
    epilog="\b\nExample:\n  aurora-ingest serve --db-url postgresql://reader@localhost/testnet --port 8000",
)
@database_option
@setting(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    show_default=True,
    help="Address to listen at; 0.0.0.0 is every one of this machine.",
)
@setting(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen at; 0 takes any that is free and logs it.",
)
@setting(
    "--public-url",
    metavar="URL",
    help="How clients reach the service, for links in answers; what a request was sent to if not given.",
)
@setting(
    "--cors-origin",
    "cors_origins",
    metavar="ORIGIN",
    multiple=True,
    help="Origin that browsers may call from, as https://example.org; any if none is given.",
)
@setting(
    "--connections",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Most database sessions of requests; the order book has one more.",
)
@setting(
    "--statement-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    metavar="SECONDS",
    show_default=True,
    help="Longest time of one statement; a request that needs longer gets 504.",
)
@setting(
    "--search-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    metavar="SECONDS",
    show_default=True,
    help="Longest time of one search for paths, and longest wait for its turn.",
)
@setting(
    "--searches",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most searches for paths at once; sixteen times as many may wait. One for each processor if not given.",
)
@setting(
    "--max-path-length",
    type=click.IntRange(1, 5),
    default=5,
    show_default=True,
    help="Most exchanges on a path.",
)
@setting(
    "--poll-interval",
    type=click.FloatRange(min=0.01),
    default=0.5,
    metavar="SECONDS",
    show_default=True,
    help="Time between two looks for a new ledger in the database.",
)
@setting(
    "--streams",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Most streams of events at once.",
)
@setting(
    "--verify-order-book-every",
    type=click.FloatRange(min=0),
    default=300.0,
    metavar="SECONDS",
    show_default=True,
    help="Compare the order book in memory with the tables this often; 0 never does.",
)
@logging_options
def serve_command(*, db_url: str | None, host: str, port: int, searches: int | None, **flags: Any) -> None:
    """Serve what a database holds over HTTP, in Horizon's JSON, each answer from one ledger that it names.

    The database is only read; a user who may do no more than SELECT is enough. It may be built, followed and rebuilt
    meanwhile. SIGTERM and SIGINT finish the requests under way and exit with 0; asked twice it stops at once.
    """
    if db_url is None:
        raise UsageError("which database? Give --db-url or set AURORA_DB_URL")
    try:
        from aurora_ingest.api.http_server import check_database, listening, make_server
        from aurora_ingest.api.serve_options import ServeOptions
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("aurora_ingest"):
            raise
        raise UsageError(
            f"serve needs {error.name}, which is not installed: pip install 'aurora-ingest[serve]'"
        ) from error
    options = ServeOptions(
        db_url=db_url,
        cors_origins=flags["cors_origins"] or ("*",),
        public_url=flags["public_url"],
        connections=flags["connections"],
        statement_seconds=flags["statement_timeout"],
        search_seconds=flags["search_timeout"],
        searches=searches or os.cpu_count() or 1,
        max_path_length=flags["max_path_length"],
        poll_seconds=flags["poll_interval"],
        streams=flags["streams"],
        verify_seconds=flags["verify_order_book_every"],
    )
    check_database(options)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    with listening(host, port) as listener:
        at, number, *_ = listener.getsockname()
        logging.getLogger(__name__).info("Serving", extra={"url": f"http://{f'[{at}]' if ':' in at else at}:{number}"})
        server = make_server(options)
        server.run(sockets=[listener])
    if not server.started:
        raise AuroraError("the service did not start; the log says why")
