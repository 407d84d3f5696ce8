"""Digests of state tables: sums of row hashes that do not depend on the order, by buckets of the primary key.

A row of a batch that a processor made and the same row read from either database have one text each, byte for byte the
same: integers in decimal, floats by their bits, JSON with sorted keys. Its SHA-256 is added to the sum of its bucket.
Two tables are equal if all their sums are.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from aurora_ingest import _kernel
from aurora_ingest.db.load import postgres_types
from aurora_ingest.db.tables import STATE_TABLES

BUCKETS: Final = 4096
_LANES: Final = 4
_UNVERIFIABLE_COLUMN: Final = "as_of_checkpoint"
UNVERIFIABLE_SETTINGS: Final = (12, 13)
"""Live size window and eviction iterator, which change without a trace in any meta: who follows cannot know them."""


def verified_columns(table: str) -> tuple[str, ...]:
    """Returns the columns of a table that are compared."""
    return tuple(column.name for column in STATE_TABLES[table].columns if column.name != _UNVERIFIABLE_COLUMN)


def key_columns(table: str) -> tuple[str, ...]:
    """Returns the columns of a table's primary key."""
    return tuple(STATE_TABLES[table].primary_key.columns.keys())


def arrow_type(column: sa.Column[object]) -> pa.DataType:
    """Returns the type in which a column that was read from the database is held; text for JSON and exact numbers."""
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return pa.bool_()
    if isinstance(kind, sa.Integer):
        return pa.int64()
    if isinstance(kind, sa.Double):
        return pa.float64()
    return pa.binary() if isinstance(kind, sa.LargeBinary) else pa.string()


def verified(table: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Leaves out of a batch what cannot be compared."""
    if table == "config_settings":
        batch = batch.filter(
            pc.invert(pc.is_in(batch.column("id"), pa.array(UNVERIFIABLE_SETTINGS, batch.column("id").type)))
        )
    return batch.select(verified_columns(table))


def texts(table: str, batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Returns the text of every value of a batch that `verified` gave, as binary; null stays null."""
    json_columns = _json_columns(table)
    return {name: _text(batch.column(name), is_json=name in json_columns) for name in verified_columns(table)}


def buckets(table: str, values: Mapping[str, pa.Array]) -> np.ndarray:
    """Returns the bucket of each row, from the texts of its primary key."""
    first = _hashes([values[name] for name in key_columns(table)])[:, 0]
    places: np.ndarray = np.remainder(first, np.uint64(BUCKETS)).astype(np.int64)
    return places


class TableDigest:
    """The sums of one table; a few hundred kilobytes however many rows it has."""

    def __init__(self, table: str) -> None:
        """Begins with no rows."""
        self.table = table
        self.rows = 0
        self._sums = np.zeros((_LANES + 1, BUCKETS), dtype=np.uint64)

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds the rows of a batch, in any order."""
        batch = verified(self.table, batch)
        if batch.num_rows == 0:
            return
        values = texts(self.table, batch)
        places = buckets(self.table, values)
        lanes = _hashes(list(values.values()))
        for lane in range(_LANES):
            np.add.at(self._sums[lane], places, np.ascontiguousarray(lanes[:, lane]))
        self._sums[_LANES] += np.bincount(places, minlength=BUCKETS).astype(np.uint64)
        self.rows += batch.num_rows

    def differing(self, other: TableDigest) -> np.ndarray:
        """Returns the buckets in which two digests differ, ascending."""
        return np.flatnonzero((self._sums != other._sums).any(axis=0))


def _hashes(columns: list[pa.Array]) -> np.ndarray:
    """Returns the SHA-256 of each row as four numbers; every value stands behind its length, so none runs over."""
    pieces: list[pa.Array] = []
    for column in columns:
        length = pc.fill_null(pc.cast(pc.binary_length(column), pa.string()), "-")
        pieces += [length.cast(pa.binary()), pc.fill_null(column, b"")]
    rows = pc.binary_join_element_wise(*pieces, pa.scalar(b":", pa.binary()))
    hashed = pa.array(_kernel.sha256_array(rows))
    raw = np.frombuffer(hashed.buffers()[1], dtype="<u8")
    start = hashed.offset * _LANES
    return raw[start : start + len(hashed) * _LANES].reshape(-1, _LANES)


def _text(column: pa.Array, *, is_json: bool) -> pa.Array:
    if pa.types.is_floating(column.type):
        column = column.view(pa.int64())
    if not (pa.types.is_string(column.type) or _is_binary(column.type)):
        return column.cast(pa.string()).cast(pa.binary())
    if is_json:
        known = column.dictionary_encode()
        canonical = pa.array([_canonical(value) for value in known.dictionary.to_pylist()], pa.string())
        column = canonical.take(known.indices)
    return column.cast(pa.binary())


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _canonical(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:  # SQLite keeps any text; as no processor makes it, it differs
        return text
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@functools.cache
def _json_columns(table: str) -> frozenset[str]:
    names = list(verified_columns(table))
    return frozenset(
        name for name, kind in zip(names, postgres_types(STATE_TABLES[table], names), strict=True) if kind == "JSONB"
    )
