"""Two tables row by row, in the few buckets in which their digests differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from aurora_ingest.db.state_digest import buckets, key_columns, texts, verified, verified_columns

MOST: Final = 5
"""Rows of one table that are told."""
_LONGEST: Final = 200


@dataclass(frozen=True)
class Difference:
    """One row that differs.

    Attributes:
        table: its table.
        key: its primary key, as text.
        expected: the archive's values of the columns that differ; None if the archive has no such row.
        found: the state's values of them; None if the state has no such row.
    """

    table: str
    key: str
    expected: Mapping[str, str] | None
    found: Mapping[str, str] | None

    def __str__(self) -> str:
        """Says the place, expected and found."""
        place = f"table {self.table}, {self.key}"
        if self.expected is None:
            return f"{place}: expected no row, found {_shown(self.found or {})}"
        if self.found is None:
            return f"{place}: expected {_shown(self.expected)}, found no row"
        return f"{place}: expected {_shown(self.expected)}, found {_shown(self.found)}"


class Rows:
    """The rows of some buckets of each table, by primary key."""

    def __init__(self, wanted: Mapping[str, np.ndarray]) -> None:
        """Begins with no rows; `wanted` are the buckets by table."""
        self._wanted = wanted
        self.by_key: dict[str, dict[tuple[bytes, ...], tuple[bytes | None, ...]]] = {table: {} for table in wanted}

    def add(self, table: str, batch: pa.RecordBatch) -> None:
        """Adds the rows of a batch that lie in a wanted bucket."""
        if table not in self._wanted or batch.num_rows == 0:
            return
        batch = verified(table, batch)
        if batch.num_rows == 0:
            return
        values = texts(table, batch)
        mask = pa.array(np.isin(buckets(table, values), self._wanted[table]))
        some = {name: column.filter(mask).to_pylist() for name, column in values.items()}
        keys = zip(*(some[name] for name in key_columns(table)), strict=True)
        self.by_key[table].update(zip(keys, zip(*some.values(), strict=True), strict=True))


def differences(table: str, expected: Rows, found: Rows) -> Iterator[Difference]:
    """Yields the first rows of a table that differ, in the order of their keys."""
    theirs, ours = expected.by_key[table], found.by_key[table]
    wrong = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
    names = verified_columns(table)
    for key in wrong[:MOST]:
        label = ", ".join(f"{name} {_value(value)}" for name, value in zip(key_columns(table), key, strict=True))
        left, right = theirs.get(key), ours.get(key)
        if left is None or right is None:
            yield Difference(table, label, _named(names, left), _named(names, right))
            continue
        changed = [place for place in range(len(names)) if left[place] != right[place]]
        yield Difference(
            table,
            label,
            {names[place]: _value(left[place]) for place in changed},
            {names[place]: _value(right[place]) for place in changed},
        )


def _named(names: tuple[str, ...], row: tuple[bytes | None, ...] | None) -> dict[str, str] | None:
    return None if row is None else {name: _value(value) for name, value in zip(names, row, strict=True)}


def _value(value: bytes | None) -> str:
    if value is None:
        return "null"
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return text if text.isprintable() else value.hex()


def _shown(values: Mapping[str, str]) -> str:
    text = ", ".join(f"{name} {value}" for name, value in values.items())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
