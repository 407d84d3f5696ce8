"""`UpdateOrderBookPerPair`: changes a second on one core, in groups of ledgers and in single ones."""

from __future__ import annotations

import sys

import inputs
from measure import Case, interleave
from report import Suite, Target

NAME = "order_books"
_OFFERS, _PAIRS, _CHANGES = 200_000, 300, 1000
_CASES = {
    "groups of 64 ledgers": ("update", 640, 64),
    "single ledgers": ("update", 64, 1),
    "groups of 64 ledgers, FnApiRunner": ("runner", 640, 64),
}


def run(_entries: int, rounds: int) -> Suite:
    """Measure the transform by itself and on the local runner; the number of entries has no meaning here."""
    cases = []
    for name, (mode, ledgers, together) in _CASES.items():
        numbers = (_OFFERS, _PAIRS, ledgers, _CHANGES, together)
        command = [sys.executable, str(inputs.HERE / "child_order_books.py"), mode, *map(str, numbers)]
        work = ledgers * _CHANGES
        cases.append(Case(name, command, work, "changes", cores=1, environment=inputs.PYTHON_PATH))
    series = interleave(cases, rounds)
    batches, *_ = series
    state, largest = (batches.median(name) / 1e6 for name in ("state_bytes", "largest_state_bytes"))
    rates = [each.rate("seconds") / 1e3 for each in series]
    link, load = batches.median("link_rate") / 1e3, batches.median("load_seconds") * 1e3
    return Suite(
        NAME,
        f"UpdateOrderBookPerPair: {_CHANGES:,} changed offers a ledger, {_OFFERS:,} offers of {_PAIRS} pairs, one core",
        tuple(series),
        (
            f"{rates[0]:,.0f} k changes/s in groups, {rates[1]:,.0f} k in single ones, with rows for a database.",
            f"On FnApiRunner, with its shuffle by pair: {rates[2]:,.0f} k changes/s.",
            f"Splitting ledgers into changes of pairs and linking them: {link:,.0f} k changes/s.",
            f"State of all pairs: {state:.1f} MB, of the largest {largest:.1f} MB; bootstraps taken in {load:.0f} ms.",
        ),
        (
            Target("thousand changes a second, in groups", rates[0], 100, unit="k/s"),
            Target("thousand changes a second, in groups on FnApiRunner", rates[2], 100, unit="k/s"),
        ),
    )
