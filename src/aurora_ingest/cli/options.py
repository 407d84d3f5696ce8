"""Flags that several commands share, and the command class that keeps Beam's flags apart from ours."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from aurora_ingest.cli import log_lines as cli_logging

_Function = TypeVar("_Function", bound=Callable[..., Any])

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(b|kb|mb|gb|kib|mib|gib|)", re.IGNORECASE | re.ASCII)
_UNITS: Final = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}

DEBUG: Final = "aurora_ingest.debug"
"""Where the context keeps whether a failure shows its traceback."""


class BeamCommand(click.Command):
    """A command that takes our flags before ``--`` and flags of Apache Beam after it."""

    FLAGS: Final = "aurora_ingest.beam_flags"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keeps what stands after the first ``--`` in the context and parses the rest."""
        if "--" in args:
            cut = args.index("--")
            ctx.meta[self.FLAGS] = tuple(args[cut + 1 :])
            args = args[:cut]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Adds Beam's flags to the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- BEAM FLAGS]"]


def setting(flag: str, *names: str, **attributes: Any) -> Callable[[_Function], _Function]:
    """Declares a flag that is also an environment variable: ``--db-url`` is AURORA_DB_URL; the help page says so.

    Args:
        flag: with its dashes; of ``--on/--off`` the first part names the variable.
        names: the parameter's name, where it is not the flag's.
        attributes: those of `click.option`.
    """
    variable = "AURORA_" + flag.partition("/")[0].removeprefix("--").upper().replace("-", "_")
    return click.option(flag, *names, envvar=variable, show_envvar=True, **attributes)


def database_option(function: _Function) -> _Function:
    """Adds ``--db-url``."""
    return setting(
        "--db-url",
        metavar="URL",
        help="The database: postgresql://user@host/name or sqlite:///file.db.",
    )(function)


def memory_option(function: _Function) -> _Function:
    """Adds ``--memory``, in bytes."""
    return setting(
        "--memory",
        callback=_bytes,
        default="1GiB",
        metavar="SIZE",
        show_default=True,
        help="Most memory that one process may take, in MiB or GiB. It decides how large key ranges are: another size "
        "may be another build, with other parts.",
    )(function)


def _bytes(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    """Reads a size such as 1GiB, 1.5 GiB, 800MB or a plain number of bytes."""
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise click.BadParameter(f"{value!r} is not a size; expected a number and MiB or GiB, as in 1GiB")
    number, unit = found.groups()
    return int(float(number) * _UNITS[unit.lower()])


def json_option(function: _Function) -> _Function:
    """Adds ``--json``."""
    return setting("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def logging_options(function: _Function) -> _Function:
    """Adds the flags of the log on standard error; they act as soon as they are parsed and do not reach the command."""
    for option in (
        setting(
            "--debug",
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_remember_debug,
            help="Log everything, and show the traceback of a failure.",
        ),
        setting(
            "--log-level",
            type=click.Choice(cli_logging.LEVELS),
            default="info",
            show_default=True,
            expose_value=False,
            callback=_configure,
            help="The least level of the lines on standard error.",
        ),
        setting(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            expose_value=False,
            is_eager=True,
            callback=_remember_format,
            help="Lines for people or one JSON object per line.",
        ),
    ):
        function = option(function)
    return function


def _remember_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[DEBUG] = value
    ctx.find_root().obj.debug = value


def _remember_format(ctx: click.Context, param: click.Parameter, value: str) -> None:
    ctx.meta[f"aurora_ingest.{param.name}"] = value


def _configure(ctx: click.Context, _param: click.Parameter, value: str) -> None:
    cli_logging.configure(ctx.meta["aurora_ingest.log_format"], value, debug=ctx.meta[DEBUG])
