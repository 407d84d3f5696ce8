"""Tables for people on standard output."""

from __future__ import annotations

from collections.abc import Mapping


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
