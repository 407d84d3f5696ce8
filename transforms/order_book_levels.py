"""Table ``order_book_levels``: the book of every pair after each ledger that changed it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit
from aurora_ingest.transforms.pair_books import Pair, PairLevels
from aurora_ingest.transforms.processors.history_columns import TIME, closing_times
from aurora_ingest.transforms.processors.processor import TableSpec

NAME: Final = "order_book_levels"
SUM: Final = pa.decimal128(38, 0)
LEVELS: Final = pa.list_(
    pa.field(
        "item",
        pa.struct(
            [
                pa.field("price_n", pa.int32(), nullable=False),
                pa.field("price_d", pa.int32(), nullable=False),
                pa.field("amount", SUM, nullable=False),
                pa.field("offers", pa.int32(), nullable=False),
            ]
        ),
        nullable=False,
    )
)


def _schema(levels: pa.DataType) -> pa.Schema:
    return pa.schema(
        [
            pa.field("ledger_sequence", pa.int32(), nullable=False),
            pa.field("closed_at", TIME, nullable=False),
            pa.field("base_asset", pa.string(), nullable=False),
            pa.field("counter_asset", pa.string(), nullable=False),
            *(
                pa.field(f"{side}_asset_{name}", kind, nullable=name != "type")
                for side in ("base", "counter")
                for name, kind in (("type", pa.int32()), ("code", pa.string()), ("issuer", pa.string()))
            ),
            *(
                field
                for side in ("bid", "ask")
                for field in (
                    pa.field(f"best_{side}_n", pa.int32()),
                    pa.field(f"best_{side}_d", pa.int32()),
                    pa.field(f"{side}s", levels, nullable=False),
                    pa.field(f"{side}_offers", pa.int64(), nullable=False),
                    pa.field(f"{side}_amount", SUM, nullable=False),
                )
            ),
            pa.field("spread_n", pa.int64()),
            pa.field("spread_d", pa.int64()),
            pa.field("pool_id", pa.string()),
            pa.field("pool_reserve_base", pa.int64()),
            pa.field("pool_reserve_counter", pa.int64()),
        ]
    )


SCHEMA: Final = _schema(LEVELS)
"""Rows in Parquet; bids and asks are lists."""
SQL_SCHEMA: Final = _schema(pa.string())
"""Rows for a database; bids and asks are JSON texts."""
GATHERED: Final = pa.schema(
    [
        pa.field("ledger_sequence", pa.int64(), nullable=False),
        pa.field("closed_at", pa.int64(), nullable=False),
        pa.field("base_asset", pa.string(), nullable=False),
        pa.field("counter_asset", pa.string(), nullable=False),
        pa.field("levels", pa.binary(), nullable=False),
    ]
)
"""Levels as the kernel keeps them, with their pairs and ledgers; times in seconds since 1970."""


def gathered(rows: Iterable[tuple[Pair, PairLevels]]) -> pa.RecordBatch:
    """Put levels of pairs together, in order of ledger, base and counter asset.

    Args:
        rows: pairs with their levels; none of them lost.

    Returns:
        GATHERED.
    """
    ordered = sorted(rows, key=lambda row: (row[1].ledger, row[0]))  # rows of pairs, not of offers
    columns = (
        [each.ledger for _, each in ordered],
        [each.closed_at for _, each in ordered],
        [pair[0] for pair, _ in ordered],
        [pair[1] for pair, _ in ordered],
        [each.levels for _, each in ordered],
    )
    arrays = [pa.array(values, field.type) for values, field in zip(columns, GATHERED, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=GATHERED)


def level_batch(levels: pa.RecordBatch, *, json: bool = False) -> pa.RecordBatch:
    """Make rows of the table.

    Prices are units of the counter asset for one of the base asset, on both sides; amounts are stroops of what is
    sold: of the base asset in asks, of the counter asset in bids.

    Args:
        levels: GATHERED.
        json: bids and asks as JSON texts, as databases take them.

    Returns:
        SCHEMA or SQL_SCHEMA, in the same order.
    """
    assets = (levels.column("base_asset"), levels.column("counter_asset"))
    made = pa.record_batch(_kernel.level_rows(*assets, levels.column("levels"), json=json))
    schema = SQL_SCHEMA if json else SCHEMA
    named = {
        "ledger_sequence": levels.column("ledger_sequence").cast(pa.int32()),
        "closed_at": closing_times(levels.column("closed_at")),
    }
    columns = [named[name] if name in named else made.column(name) for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return level_batch(unit.decoded[NAME])


TABLE: Final = TableSpec(
    name=NAME,
    schema=SCHEMA,
    primary_key=("base_asset", "counter_asset", "ledger_sequence"),
    stage=CHUNK,
    columns={NAME: ("ledger_sequence",)},
    rows=_rows,
    row_group_rows=16_384,
)
"""Made from GATHERED rows, which stand among a unit's decoded tables."""


def with_json(unit: LedgerUnit) -> LedgerUnit:
    """Return a unit of TABLE with the rows that databases take."""
    rows = level_batch(unit.decoded[NAME], json=True)
    return dataclasses.replace(unit, tables={**unit.tables, NAME: rows})
