"""One comparison for all oracles: rows by key, column by column, with a report that names what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

Row = Mapping[str, Any]
_SHOWN = 5


def postgres_text(value: Any) -> str | None:
    """Returns a value as PostgreSQL's COPY prints it."""
    match value:
        case None:
            return None
        case bool():
            return "t" if value else "f"
        case bytes():
            return "\\x" + value.hex()
        case float():
            return repr(value).removesuffix(".0")
        case int() | Decimal():
            return str(value)
        case _:
            return str(value)


def rows_of(table: pa.Table, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Returns our rows with some columns as Python values."""
    return list(table.select(list(columns)).to_pylist())


def assert_same_rows(name: str, ours: Iterable[Row], theirs: Iterable[Row], key: Sequence[str]) -> None:
    """Asserts that both sides hold the same rows, whatever their order; both have the same columns.

    The report counts keys that only one side has and values that differ by column, and shows the first of each.
    """
    own, other = _by_key(name, ours, key), _by_key(name, theirs, key)
    lacking = sorted(other.keys() - own.keys(), key=str)
    extra = sorted(own.keys() - other.keys(), key=str)
    columns: Counter[str] = Counter()
    shown: list[str] = []
    for place in own.keys() & other.keys():
        mine, expected = own[place], other[place]
        if mine == expected:
            continue
        assert mine.keys() == expected.keys(), f"{name}: columns {sorted(mine)}, expected {sorted(expected)}"
        for column in mine:
            if mine[column] != expected[column]:
                columns[column] += 1
                if len(shown) < _SHOWN:
                    shown.append(f"{place} {column}: {mine[column]!r}, expected {expected[column]!r}")
    if lacking or extra or columns:
        report = [
            f"{name}: {len(own)} rows, expected {len(other)}",
            f"lacking {len(lacking)}: {lacking[:_SHOWN]}",
            f"extra {len(extra)}: {extra[:_SHOWN]}",
            f"differing values by column: {dict(columns)}",
            *shown,
        ]
        raise AssertionError("\n".join(report))


def _by_key(name: str, rows: Iterable[Row], key: Sequence[str]) -> dict[tuple[Any, ...], Row]:
    listed = list(rows)
    found = {tuple(row[column] for column in key): row for row in listed}
    assert len(found) == len(listed), f"{name}: {len(listed) - len(found)} rows share a key with another row"
    return found
