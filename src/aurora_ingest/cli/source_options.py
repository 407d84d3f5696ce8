"""Flags that name a network, an archive and where ledgers come from, for the commands that read them."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from aurora_ingest.cli.options import setting
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.network import Network

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_Function = TypeVar("_Function", bound=Callable[..., Any])


def network_options(function: _Function) -> _Function:
    """Adds ``--network`` and ``--network-passphrase``; `network_of` makes the network of them."""
    for option in (
        setting(
            "--network-passphrase",
            metavar="TEXT",
            help="Passphrase of any other network; beside --network it replaces the passphrase and keeps the rest.",
        ),
        setting(
            "--network",
            "network_name",
            metavar="NAME",
            help="A well-known network (pubnet, testnet, futurenet, …).",
        ),
    ):
        function = option(function)
    return function


def checkpoint_frequency_option(function: _Function) -> _Function:
    """Adds ``--checkpoint-frequency``."""
    return setting(
        "--checkpoint-frequency",
        type=click.IntRange(min=2),
        metavar="LEDGERS",
        help="Ledgers per checkpoint of an archive; 64 on every public network.",
    )(function)


def archive_option(function: _Function) -> _Function:
    """Adds ``--history-archive-url``, which may be repeated; the values are ``archive_urls``."""
    return setting(
        "--history-archive-url",
        "archive_urls",
        metavar="URL",
        multiple=True,
        help="A mirror of the history archive: file://, http(s):// or gs://. Repeat it for more mirrors.",
    )(function)


def ledgers_option(function: _Function) -> _Function:
    """Adds ``--ledgers``, which has to be given; its value is ``ledgers_url``."""
    return setting(
        "--ledgers",
        "ledgers_url",
        metavar="URL",
        required=True,
        help="Where the ledgers come from: file:// of a data lake or of a stream of LedgerCloseMeta, gs://, s3://, "
        "core-db+sqlite:///…, core-db+postgresql://…, archive+file://…, archive+https://…, or - for standard input.",
    )(function)


def range_options(least: int = 1) -> Callable[[_Function], _Function]:
    """Adds ``--from`` and ``--to``, which have to be given; their values are ``first`` and ``last``.

    Args:
        least: the lowest ledger that may be named.
    """

    def add(function: _Function) -> _Function:
        for flag, name, told in (
            ("--to", "last", "The last ledger; it is part of the range."),
            ("--from", "first", "The first ledger."),
        ):
            function = setting(
                flag,
                name,
                type=click.IntRange(min=least),
                metavar="LEDGER",
                required=True,
                help=told,
            )(function)
        return function

    return add


def trusted_ledger_option(function: _Function) -> _Function:
    """Adds ``--trusted-ledger``; its value is a sequence and a hash in lower-case hex."""
    return setting(
        "--trusted-ledger",
        callback=_trusted_ledger,
        metavar="N:HASH",
        help="A ledger and its hash, known from a source that you trust; what is read has to be of its chain.",
    )(function)


def cache_options(function: _Function) -> _Function:
    """Adds ``--bucket-cache``, whose value is ``cache_dir``, and ``--work-dir``."""
    for option in (
        setting(
            "--work-dir",
            metavar="DIR",
            help="Folder or gs:// or s3:// address for intermediate files; on an engine one that all workers reach.",
        ),
        setting(
            "--bucket-cache",
            "cache_dir",
            metavar="DIR",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder in which downloaded buckets are kept for the next time; neighbouring checkpoints share most.",
        ),
    ):
        function = option(function)
    return function


def takeover_option(function: _Function) -> _Function:
    """Adds ``--takeover-after``."""
    return setting(
        "--takeover-after",
        type=click.FloatRange(min=1),
        default=30.0,
        metavar="SECONDS",
        show_default=True,
        help="Silence of another builder after which its unfinished state build may be taken over.",
    )(function)


def engine_options(function: _Function) -> _Function:
    """Adds ``--engine`` and what belongs to it; the command gets one `EngineChoice` as ``choice``."""

    @functools.wraps(function)
    def with_choice(
        *args: Any,
        engine_name: str,
        parallelism: int | None,
        job_endpoint: str | None,
        flink_dir: Path | None,
        **rest: Any,
    ) -> Any:
        from aurora_ingest.runners.launch import EngineChoice

        return function(*args, choice=EngineChoice(engine_name, parallelism, job_endpoint, flink_dir), **rest)

    command: Any = with_choice
    for option in (
        setting(
            "--flink-dir",
            metavar="DIR",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder of the local Flink cluster; ~/.cache/aurora-ingest/flink if not given.",
        ),
        setting(
            "--job-endpoint",
            metavar="HOST:PORT",
            help="Beam job server of a Flink cluster of your own; without it jobs go to the local cluster.",
        ),
        setting(
            "--parallelism",
            type=click.IntRange(min=1),
            metavar="N",
            help="Tasks per step on Flink; one per task manager of the local cluster if not given.",
        ),
        setting(
            "--engine",
            "engine_name",
            type=click.Choice(["local", "flink", "dataflow"]),
            default="local",
            show_default=True,
            help="Where the work is done: in this process, on Flink, or on Google Cloud Dataflow.",
        ),
    ):
        command = option(command)
    return cast("_Function", command)


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
    return setting(
        "--tables",
        callback=_tables,
        metavar="NAME,…",
        help="Only these tables; all of them if not given.",
    )(function)


def bad_record_option(function: _Function) -> _Function:
    """Adds ``--on-bad-record``; its value is ``on_bad_record``."""
    return setting(
        "--on-bad-record",
        type=click.Choice(["stop", "quarantine"]),
        default="stop",
        show_default=True,
        help="What becomes of a ledger or transaction that does not decode, or a row that the database refuses.",
    )(function)


def chunk_workers_option(function: _Function) -> _Function:
    """Adds ``--workers`` of a command that writes chunks of history."""
    return setting(
        "--workers",
        type=click.IntRange(min=1),
        default=1,
        metavar="N",
        show_default=True,
        help="Chunks that this process works on at the same time; SQLite has one writer, a pipe one reader.",
    )(function)


def give_memory_back(workers: int) -> None:
    """Has a process of several workers give freed memory back at once; to be called before Arrow is loaded.

    Each worker's allocators would keep what it freed for ten seconds, which is more than the workers use.
    """
    if workers > 1:
        os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")


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


def _trusted_ledger(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, str] | None:
    """Reads a ledger number and the hash of its header."""
    if value is None:
        return None
    sequence, _, digest = value.partition(":")
    if not (sequence.isascii() and sequence.isdigit()) or not _HASH.fullmatch(digest):
        raise click.BadParameter(f"{value!r} is not N:HASH, a ledger number and 64 hexadecimal digits")
    return int(sequence), digest.lower()
