"""Table ``exp_asset_stats``: how many hold an issued asset and how much of it, by five kinds of holders."""

from __future__ import annotations

import functools
import operator

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, RANGE, TOTALS, LedgerUnit
from aurora_ingest.transforms.processors.columns import EXACT, empty, joined, repeated, summed, text_of
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

NAME = "exp_asset_stats"
KINDS = ("authorized", "authorized_to_maintain_liabilities", "claimable_balances", "liquidity_pools", "unauthorized")
"""Kinds of holders, in the order of the partial columns."""
JSON_KEYS = (
    "authorized",
    "unauthorized",
    "liquidity_pools",
    "claimable_balances",
    "authorized_to_maintain_liabilities",
)
"""The same in the order in which jsonb keeps keys: by length."""
AUTHORIZED, MAINTAIN, BALANCES, POOLS, UNAUTHORIZED = range(len(KINDS))

NATIVE = 0
POOL_SHARE = 3
AUTHORIZED_FLAG = 1
MAINTAIN_FLAG = 2

KEYS = ("asset_type", "asset_code", "asset_issuer")
_KEY_FIELDS = [
    pa.field("asset_type", pa.int32(), nullable=False),
    pa.field("asset_code", pa.string(), nullable=False),
    pa.field("asset_issuer", pa.string(), nullable=False),
]
SCHEMA = pa.schema(
    [
        *_KEY_FIELDS,
        pa.field("accounts", pa.string(), nullable=False),
        pa.field("balances", pa.string(), nullable=False),
    ]
)
PARTIAL_SCHEMA = pa.schema(
    [
        *_KEY_FIELDS,
        *(pa.field(f"count_{kind}", pa.int64(), nullable=False) for kind in KINDS),
        *(pa.field(f"balance_{kind}", EXACT, nullable=False) for kind in KINDS),
    ]
)
PRIMARY_KEY = ("asset_code", "asset_issuer", "asset_type")
_HOLDING_SCHEMA = pa.schema(
    [
        *(field.with_nullable(nullable=True) for field in _KEY_FIELDS),
        pa.field("kind", pa.int8(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("balance", EXACT, nullable=False),
    ]
)
_ENTRY_COLUMNS = {
    "trust_line": ("asset_type", "asset_code", "asset_issuer", "balance", "flags"),
    "claimable_balance": ("asset_type", "asset_code", "asset_issuer", "amount"),
    "liquidity_pool": tuple(name for side in "ab" for name in (*(f"{side}_{key}" for key in KEYS), f"reserve_{side}")),
}


def asset_stat_partials(
    trust_lines: pa.RecordBatch,
    claimable_balances: pa.RecordBatch,
    liquidity_pools: pa.RecordBatch,
    *,
    sign: int = 1,
) -> pa.RecordBatch:
    """Count the holders of every issued asset among some ledger entries, and add up what they hold.

    Horizon's meaning: a trust line is authorized (flag 1), else authorized to maintain liabilities (flag 2), else
    unauthorized, and counts with its balance, liabilities included in it; pool shares are no asset. A claimable
    balance and each side of a pool count once. The native asset is left out.

    Args:
        trust_lines: entry table ``trust_line``.
        claimable_balances: entry table ``claimable_balance``.
        liquidity_pools: entry table ``liquidity_pool``.
        sign: 1 to add the entries, -1 to take them away (images before a change).

    Returns:
        Batch of PARTIAL_SCHEMA with one row per asset; counts times sign, sums in stroops times sign.
    """
    flags = trust_lines.column("flags")
    kinds = pc.if_else(
        _has(flags, AUTHORIZED_FLAG),
        _kind(AUTHORIZED),
        pc.if_else(_has(flags, MAINTAIN_FLAG), _kind(MAINTAIN), _kind(UNAUTHORIZED)),
    )
    holdings = [_holdings(trust_lines, "", kinds, "balance"), _holdings(claimable_balances, "", BALANCES, "amount")]
    holdings += [_holdings(liquidity_pools, f"{side}_", POOLS, f"reserve_{side}") for side in "ab"]
    by_kind = summed(pa.concat_tables(holdings), [*KEYS, "kind"], _HOLDING_SCHEMA)
    by_kind = by_kind.filter(_is_issued(by_kind.column("asset_type")))  # few rows here, many and with texts above
    return summed(pa.table(_spread(by_kind, sign), schema=PARTIAL_SCHEMA), KEYS, PARTIAL_SCHEMA)


def _is_issued(asset_types: pa.Array) -> pa.Array:
    return pc.and_(pc.not_equal(asset_types, NATIVE), pc.not_equal(asset_types, POOL_SHARE))


def _has(flags: pa.Array, flag: int) -> pa.Array:
    return pc.not_equal(pc.bit_wise_and(flags, flag), 0)


def _kind(kind: int) -> pa.Scalar:
    return pa.scalar(kind, pa.int8())


def _holdings(entries: pa.RecordBatch, prefix: str, kind: pa.Array | int, amount: str) -> pa.Table:
    """Return asset, kind, count and balance of every entry, as a row of _HOLDING_SCHEMA."""
    kinds = pa.repeat(_kind(kind), len(entries)) if isinstance(kind, int) else kind
    columns = [entries.column(f"{prefix}{key}") for key in KEYS]
    columns += [kinds, repeated(1, len(entries)), entries.column(amount).cast(EXACT)]
    return pa.Table.from_arrays(columns, schema=_HOLDING_SCHEMA)


def _spread(by_kind: pa.RecordBatch, sign: int) -> list[pa.Array]:
    """Return the columns of PARTIAL_SCHEMA with each row's numbers in the columns of its kind, zero elsewhere."""
    none, nothing = pa.scalar(0, pa.int64()), pa.scalar(0, pa.int64()).cast(EXACT)
    count, balance = by_kind.column("count"), by_kind.column("balance")
    if sign < 0:
        count, balance = pc.negate(count), pc.negate(balance)
    places = [pc.equal(by_kind.column("kind"), _kind(kind)) for kind in range(len(KINDS))]
    return [
        *(by_kind.column(key) for key in KEYS),
        *(pc.if_else(place, count, none) for place in places),
        *(pc.if_else(place, balance, nothing) for place in places),
    ]


def add_asset_stats(partials: pa.Table) -> pa.RecordBatch:
    """Add up partial rows by asset.

    Args:
        partials: table of PARTIAL_SCHEMA.

    Returns:
        One row per asset, sorted by primary key.
    """
    return summed(partials, KEYS, PARTIAL_SCHEMA).sort_by([(key, "ascending") for key in PRIMARY_KEY])


def asset_stat_rows(totals: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per asset from its sums, in the same order, without assets that nobody holds.

    ``accounts`` and ``balances`` are the JSON of Horizon's jsonb columns; balances are texts, in stroops.

    Args:
        totals: batch of PARTIAL_SCHEMA with one row per asset.
    """
    if not len(totals):
        return empty(SCHEMA)
    numbers = [column for name, column in zip(totals.schema.names, totals.columns, strict=True) if name not in KEYS]
    held = functools.reduce(pc.or_, (pc.not_equal(column, pa.scalar(0).cast(column.type)) for column in numbers))
    totals = totals.filter(held)
    columns = [
        *(totals.column(key) for key in KEYS),
        _json(totals, "count", ""),
        _json(totals, "balance", '"'),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA) if len(totals) else empty(SCHEMA)


def _json(totals: pa.RecordBatch, what: str, quote: str) -> pa.Array:
    """Return the five numbers of one sort as a JSON object per row."""
    pieces = ((f'"{key}": {quote}', text_of(totals.column(f"{what}_{key}")), f"{quote}, ") for key in JSON_KEYS)
    parts = functools.reduce(operator.add, pieces)
    return joined("{", *parts[:-1], f"{quote}}}")


def _partial_rows(unit: LedgerUnit) -> pa.RecordBatch:
    after = asset_stat_partials(*(unit.post[name] for name in _ENTRY_COLUMNS))
    if not unit.pre:
        return after
    before = asset_stat_partials(*(unit.pre[name] for name in _ENTRY_COLUMNS), sign=-1)
    return add_asset_stats(pa.Table.from_batches([before, after]))


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return asset_stat_rows(unit.post[NAME])


PARTIAL = TableSpec(
    name=PARTIAL_PREFIX + NAME,
    schema=PARTIAL_SCHEMA,
    primary_key=(),
    stage=RANGE,
    columns=_ENTRY_COLUMNS,
    rows=_partial_rows,
)
TABLE = TableSpec(
    name=NAME,
    schema=SCHEMA,
    primary_key=PRIMARY_KEY,
    stage=TOTALS,
    columns={},
    rows=_rows,
    needs=(PARTIAL.name,),
)


class ProcessAssetStatPartials(ProcessTable):
    """Adds ``partial:exp_asset_stats``: each unit's own sums."""

    spec = PARTIAL


class ProcessAssetStats(ProcessTable):
    """Adds ``exp_asset_stats``."""

    spec = TABLE
