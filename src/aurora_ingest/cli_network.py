"""Flags that name a network, a range of ledgers and where they come from, for the commands that read ledgers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.network import Network

_Function = TypeVar("_Function", bound=Callable[..., Any])


def network_options(function: _Function) -> _Function:
    """Adds ``--network`` and ``--network-passphrase``; `network_of` makes the network of them."""
    for option in (
        click.option(
            "--network-passphrase",
            envvar="AURORA_NETWORK_PASSPHRASE",
            metavar="TEXT",
            show_envvar=True,
            help="Passphrase of any other network; beside --network it replaces the passphrase and keeps the rest.",
        ),
        click.option(
            "--network",
            "network_name",
            envvar="AURORA_NETWORK",
            metavar="NAME",
            show_envvar=True,
            help="A well-known network (pubnet, testnet, futurenet, …).",
        ),
    ):
        function = option(function)
    return function


def checkpoint_frequency_option(function: _Function) -> _Function:
    """Adds ``--checkpoint-frequency``."""
    return click.option(
        "--checkpoint-frequency",
        envvar="AURORA_CHECKPOINT_FREQUENCY",
        type=click.IntRange(min=2),
        metavar="LEDGERS",
        show_envvar=True,
        help="Ledgers per checkpoint of an archive; 64 on every public network.",
    )(function)


def network_of(name: str | None, passphrase: str | None, frequency: int | None = None) -> Network:
    """Returns the network that the flags describe.

    Raises:
        UsageError: neither a name nor a passphrase, or an unknown name.
    """
    from dataclasses import replace

    from aurora_ingest.network import Network

    if name is not None:
        network = Network.named(name)
        if passphrase is not None and passphrase != network.passphrase:
            network = replace(network, passphrase=passphrase, name="custom", archive_urls=())
    elif passphrase is not None:
        network = Network.for_passphrase(passphrase)
    else:
        raise UsageError("which network? Give --network NAME or --network-passphrase TEXT")
    return network if frequency is None else network.with_checkpoint_frequency(frequency)


def tables_option(function: _Function) -> _Function:
    """Adds ``--tables``."""
    return click.option(
        "--tables",
        envvar="AURORA_TABLES",
        callback=_tables,
        metavar="NAME,…",
        show_envvar=True,
        help="Only these tables; all of them if not given.",
    )(function)


def without_password(url: str | None) -> str | None:
    """Returns a database's address for messages."""
    return None if url is None else re.sub(r"(//[^/@:]*):[^@/]*@", r"\1:***@", url)


def _tables(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Reads names of tables with commas between them."""
    if value is None:
        return None
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not names:
        raise click.BadParameter("names no table")
    return names
