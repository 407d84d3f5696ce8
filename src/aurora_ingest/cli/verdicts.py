"""Verdicts for people: rows of ledgers, and a summary that says what was proven, what not, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from aurora_ingest.ledger.verdicts import ABSENT, BAD, COLUMNS, KNOWN_DIVERGENCE, NOT_APPLICABLE, OK

if TYPE_CHECKING:
    from rich.console import Console

    from aurora_ingest.transforms.verify_plan import VerifyPlan

_STYLES: Final = {OK: "green", BAD: "bold red", KNOWN_DIVERGENCE: "yellow", ABSENT: "dim", NOT_APPLICABLE: "dim"}
_SHOWN: Final = (OK, BAD, KNOWN_DIVERGENCE, ABSENT, NOT_APPLICABLE)
_WIDTH: Final = 160
"""Columns of plain output; a terminal has its own."""

_MEANING: Final = {
    "header_hash": "the header's bytes have the hash stated",
    "chain_link": "it names the hash of the ledger before",
    "tx_set_hash": "the transaction set is the one agreed on",
    "result_hash": "the results are those of the header",
    "transaction_hashes": "every envelope meets its result by hash",
    "bucket_list_hash": "the archive's buckets are those of the header",
    "scp_signature": "a node signed set and close time",
    "supply": "all native coins are accounted for",
    "state": "changes lead from one state to the next",
}


def print_rows(parts: Iterator[list[dict[str, Any]]]) -> None:
    """Prints verdict rows as a table on a terminal, else as plain lines, part by part."""
    console = _console()
    for rows in parts:
        if not rows:
            continue
        if console.is_terminal:
            _print_table(console, rows)
        else:
            for row in rows:
                verdicts = " ".join(f"{name}={row[name]}" for name in COLUMNS)
                note = f" | {row['note']}" if row["note"] else ""
                console.print(
                    f"{row['ledger_sequence']} {verdicts}{note}", soft_wrap=True, highlight=False, markup=False
                )


def _print_table(console: Console, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=False)
    table.add_column("ledger", justify="right")
    for name in COLUMNS:
        table.add_column(name.replace("_", " "))
    for row in rows:
        table.add_row(str(row["ledger_sequence"]), *(Text(row[name], style=_STYLES[row[name]]) for name in COLUMNS))
    console.print(table)
    for row in rows:
        if row["note"]:
            console.print(f"{row['ledger_sequence']}: {row['note']}", highlight=False, markup=False)


def print_summary(plan: VerifyPlan, report: dict[str, Any]) -> None:
    """Prints how many ledgers have which verdict in each column, and the outcome in a sentence."""
    from rich.table import Table
    from rich.text import Text

    console = _console()
    archive = "none" if plan.archive is None else ", ".join(plan.archive.urls)
    console.print(
        f"Ledgers {plan.ledgers.first} to {plan.ledgers.last} of {plan.network.name}, from {plan.backend.describe()}; "
        f"states from {archive}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    table = Table()
    table.add_column("column")
    for verdict in _SHOWN:
        table.add_column(verdict, justify="right")
    table.add_column("ok means")
    for name, counts in report["counts"].items():
        cells = (Text(f"{counts[v]:,}", style=_STYLES[v]) if counts.get(v) else Text("") for v in _SHOWN)
        table.add_row(name, *cells, _MEANING[name])
    console.print(table)
    console.print(_outcome(report), soft_wrap=True, highlight=False, markup=False)


def _outcome(report: dict[str, Any]) -> str:
    """The last sentence: what a person who reads nothing else should know."""
    ledgers, bad = report["ledgers"], report["bad_ledgers"]
    if bad:
        first = report["first_bad"]
        hint = f" {report['hint'].capitalize()}" if report["hint"] else ""
        return f"BAD: {bad:,} of {ledgers:,} ledgers; the first is {first['ledger']}, {first['column']}.{hint}"
    known = max(counts.get(KNOWN_DIVERGENCE, 0) for counts in report["counts"].values())
    unseen = [name for name, counts in report["counts"].items() if not counts.get(OK) and counts.get(ABSENT)]
    told = f"OK: nothing is wrong with {ledgers:,} ledger{'' if ledgers == 1 else 's'}"
    if known:
        told += f"; {known:,} have a known divergence"
    if unseen:
        told += f"; nothing was there to judge {', '.join(unseen)}"
    return f"{told}."


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)
