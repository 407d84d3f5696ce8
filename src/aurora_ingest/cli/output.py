"""Tables for people on standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click


def print_rows(title: str, rows: Mapping[str, int]) -> None:
    """Prints one line per table with its number of rows, and their sum."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(show_footer=True)
    shown.add_column("table", footer="all tables")
    shown.add_column("rows", justify="right", footer=f"{sum(rows.values()):,}")
    for table, count in rows.items():
        shown.add_row(table, f"{count:,}")
    console = Console()
    console.print(title, highlight=False)
    console.print(shown)


def print_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Prints what a command is going to do: a line for each fact, a list below its name; or one JSON object."""
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        if isinstance(value, list):
            click.echo(f"{name}:")
            for each in value:
                click.echo(f"  {each}")
        else:
            click.echo(f"{name + ':':<18}{'-' if value is None else value}")
