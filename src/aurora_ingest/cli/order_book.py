"""The commands `find-paths` and `order-book`: questions to the order book of the state in a database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from aurora_ingest.cli.options import database_option, json_option, logging_options, setting
from aurora_ingest.cli.status import connected
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.ledger.asset import Asset
    from aurora_ingest.orderbook.graph import Level
    from aurora_ingest.orderbook.path_search import PaymentPath, SearchLimits


@click.command(
    "find-paths",
    short_help="Find ways to pay, over the offers and pools of a state.",
    epilog="\b\nExample:\n  aurora-ingest find-paths --db-url sqlite:///testnet.db --strict-send \\\n"
    "    --source-asset native --source-amount 12.5 --destination-asset USD:G…",
)
@database_option
@setting(
    "--strict-send",
    "kind",
    flag_value="send",
    help="The amount that is paid is fixed: what arrives?",
)
@setting(
    "--strict-receive",
    "kind",
    flag_value="receive",
    help="The amount that arrives is fixed: what has to be paid?",
)
@setting(
    "--source-asset",
    "source_assets",
    metavar="native|CODE:ISSUER",
    multiple=True,
    help="What may be paid with; repeat it with --strict-receive.",
)
@setting(
    "--source-amount",
    metavar="AMOUNT",
    help="With --strict-send: what is paid.",
)
@setting(
    "--source-account",
    metavar="G…",
    help="The payer: its own offers are left out. With --strict-receive and no --source-asset: pay with what it has.",
)
@setting(
    "--destination-asset",
    "destination_assets",
    metavar="native|CODE:ISSUER",
    multiple=True,
    help="What may arrive; repeat it with --strict-send.",
)
@setting(
    "--destination-amount",
    metavar="AMOUNT",
    help="With --strict-receive: what arrives.",
)
@setting(
    "--max-path-length",
    type=click.IntRange(1, 5),
    default=5,
    show_default=True,
    help="Most exchanges on a path.",
)
@setting(
    "--paths-per-asset",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Most paths for each asset on the open side.",
)
@setting(
    "--every",
    is_flag=True,
    help="Look at every path and not only at those over the best way to each asset; takes much longer.",
)
@setting(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Longest time of the search.",
)
@json_option
@logging_options
def find_paths_command(*, db_url: str | None, kind: str | None, as_json: bool, **options: Any) -> None:
    """Find ways to pay an amount, or to spend one, over the offers and pools of the state in a database.

    The answer is exact at the one ledger that it names.
    """
    if kind is None:
        raise click.UsageError("which amount is fixed? Give --strict-send or --strict-receive")
    from aurora_ingest.orderbook.path_search import SearchLimits

    limits = SearchLimits(
        max_hops=options["max_path_length"],
        paths_per_asset=options["paths_per_asset"],
        seconds=options["timeout"],
        every=options["every"],
    )
    find = _strict_send if kind == "send" else _strict_receive
    ledger, paths = find(db_url, limits, options)
    if as_json:
        click.echo(json.dumps({"ledger": ledger, "paths": [path.to_json() for path in paths]}))
        return
    click.echo(f"ledger {ledger}: {len(paths) or 'no'} path{'' if len(paths) == 1 else 's'}")
    if paths:
        _print_paths(paths)


def _strict_send(
    db_url: str | None, limits: SearchLimits, options: dict[str, Any]
) -> tuple[int, tuple[PaymentPath, ...]]:
    from aurora_ingest.orderbook.amount import stroops
    from aurora_ingest.orderbook.path_search import find_strict_send

    (source,) = _assets(options, "source", exactly_one=True)
    destinations = _assets(options, "destination")
    amount = stroops(_needed(options, "source_amount", "strict-send"))
    _unwanted(options, "destination_amount", "strict-send")
    payer = options["source_account"]
    ledger, graph, _ = _order_book(db_url, None)
    return ledger, find_strict_send(graph, source, amount, destinations, source_account=payer, limits=limits)


def _strict_receive(
    db_url: str | None, limits: SearchLimits, options: dict[str, Any]
) -> tuple[int, tuple[PaymentPath, ...]]:
    from aurora_ingest.orderbook.amount import stroops
    from aurora_ingest.orderbook.path_search import find_strict_receive

    (destination,) = _assets(options, "destination", exactly_one=True)
    amount = stroops(_needed(options, "destination_amount", "strict-receive"))
    _unwanted(options, "source_amount", "strict-receive")
    payer = options["source_account"]
    by_balance = payer is not None and not options["source_assets"]
    sources = None if by_balance else _assets(options, "source")
    ledger, graph, balances = _order_book(db_url, payer if by_balance else None)
    return ledger, find_strict_receive(
        graph, destination, amount, balances if sources is None else sources, source_account=payer, limits=limits
    )


def _order_book(db_url: str | None, account: str | None) -> tuple[int, Any, dict[Asset, int]]:
    with connected(db_url) as engine:
        from aurora_ingest.db.order_book import read_order_book

        rows = read_order_book(engine, account)
    from aurora_ingest.orderbook.graph import OrderBookGraph

    return rows.ledger, OrderBookGraph(rows.ledger, rows.offers, rows.liquidity_pools), rows.balances


def _assets(options: dict[str, Any], side: str, *, exactly_one: bool = False) -> list[Asset]:
    from aurora_ingest.ledger.asset import Asset

    texts: Sequence[str] = options[f"{side}_assets"]
    if not texts:
        raise UsageError(f"which asset? Give --{side}-asset native or --{side}-asset CODE:ISSUER")
    if exactly_one and len(texts) > 1:
        raise UsageError(f"--{side}-asset was given {len(texts)} times; the side with the fixed amount has one asset")
    return [Asset.parse(text) for text in texts]


def _needed(options: dict[str, Any], name: str, kind: str) -> str:
    value: str | None = options[name]
    if value is None:
        raise UsageError(f"--{kind} needs --{name.replace('_', '-')}")
    return value


def _unwanted(options: dict[str, Any], name: str, kind: str) -> None:
    if options[name] is not None:
        raise UsageError(f"--{name.replace('_', '-')} does not go with --{kind}: that amount is the answer")


def _print_paths(paths: Sequence[PaymentPath]) -> None:
    from rich.console import Console
    from rich.table import Table

    from aurora_ingest.orderbook.amount import units

    shown = Table("pay", "with", "over", "get", "of")
    for path in paths:
        over = " → ".join(map(str, path.path)) or "directly"
        shown.add_row(
            units(path.source_amount),
            str(path.source_asset),
            over,
            units(path.destination_amount),
            str(path.destination_asset),
        )
    Console().print(shown)


@click.command(
    "order-book",
    short_help="Show the offers between two assets, added up by price.",
    epilog="\b\nExample:\n  aurora-ingest order-book --db-url sqlite:///testnet.db --selling native --buying USD:G…",
)
@database_option
@setting(
    "--selling",
    metavar="native|CODE:ISSUER",
    required=True,
    help="The base asset: asks sell it, bids buy it.",
)
@setting(
    "--buying",
    metavar="native|CODE:ISSUER",
    required=True,
    help="The counter asset: prices are in it.",
)
@setting(
    "--limit",
    type=click.IntRange(1, 200),
    default=20,
    show_default=True,
    help="Most prices on each side.",
)
@json_option
@logging_options
def order_book_command(*, db_url: str | None, selling: str, buying: str, limit: int, as_json: bool) -> None:
    """Show bids and asks between two assets at the ledger of the state in a database.

    Amounts of asks are in the base asset, those of bids in the counter asset, as in Horizon.
    """
    from aurora_ingest.ledger.asset import Asset

    base, counter = Asset.parse(selling), Asset.parse(buying)
    ledger, graph, _ = _order_book(db_url, None)
    asks = graph.levels(base, counter, limit)
    bids = graph.levels(counter, base, limit)
    if as_json:
        from aurora_ingest.orderbook.summary import summary_json

        click.echo(json.dumps({"ledger": ledger, **summary_json(base, counter, bids, asks)}))
        return
    click.echo(f"ledger {ledger}: {base} in {counter}")
    _print_levels("bids", [(level.d, level.n, level) for level in bids])
    _print_levels("asks", [(level.n, level.d, level) for level in asks])


def _print_levels(title: str, levels: Sequence[tuple[int, int, Level]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from aurora_ingest.orderbook.amount import units
    from aurora_ingest.orderbook.summary import price_text

    shown = Table("price", "amount", "offers", title=title, title_justify="left")
    for n, d, level in levels:
        shown.add_row(price_text(n, d), units(level.amount), str(level.offers))
    Console().print(shown)
