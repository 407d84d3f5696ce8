"""Our history rows in the words of PostgreSQL's COPY CSV, column by column, for comparison with Horizon's dumps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from differential.comparison import postgres_text
from differential.exact_csv import Value

NOT_COMPARED = {"importer_version", "details"}
"""Horizon's own number, and what comes later."""
_PLAIN = re.compile(r"[^\s{}\",\\]+")


def text_columns(rows: pa.Table, names: Sequence[str]) -> Iterator[list[Value]]:
    """Yields the columns as PostgreSQL prints them."""
    for name in names:
        column = rows.column(name)
        if pa.types.is_timestamp(column.type):
            yield column.cast(pa.timestamp("s")).cast(pa.string()).to_pylist()
        elif pa.types.is_integer(column.type):
            yield column.cast(pa.string()).to_pylist()
        elif pa.types.is_string(column.type):
            yield column.to_pylist()
        else:
            yield [_text(value) for value in column.to_pylist()]


def _text(value: Any) -> Value:
    if isinstance(value, list):
        return array_text(value)
    if isinstance(value, dict):
        lower, upper = value["lower"], value["upper"]
        return "empty" if upper is not None and lower >= upper else f"[{lower},{'' if upper is None else upper})"
    return postgres_text(value)


def array_text(values: Sequence[str]) -> str:
    """Returns an array as PostgreSQL prints it."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.upper() != "NULL":
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def assert_columns_equal(
    name: str, rows: pa.Table, header: Sequence[str], theirs: Iterable[Sequence[Value]], skipped: Iterable[str] = ()
) -> int:
    """Asserts that rows in one order are equal in every column that Horizon has; returns the number of columns.

    Args:
        name: what is compared, for the report.
        rows: ours, in the order of theirs.
        header: names of their columns.
        theirs: their rows.
        skipped: columns that are not compared.
    """
    left_out = NOT_COMPARED | set(skipped)
    expected = dict(zip(header, zip(*theirs, strict=True), strict=True)) if theirs else {}
    names = [column for column in header if column not in left_out]
    report = []
    for column, mine in zip(names, text_columns(rows, names), strict=True):
        wanted = expected.get(column, ())
        if len(mine) != len(wanted):
            report.append(f"{len(mine)} rows, expected {len(wanted)}")
            break
        differing = [at for at, pair in enumerate(zip(mine, wanted, strict=True)) if pair[0] != pair[1]]
        if differing:
            shown = [f"row {at}: {mine[at]!r}, expected {wanted[at]!r}" for at in differing[:3]]
            report.append(f"{column}: {len(differing)} of {len(mine)} differ: {'; '.join(shown)}")
    assert not report, f"{name}: " + "\n".join(report)
    return len(names)
