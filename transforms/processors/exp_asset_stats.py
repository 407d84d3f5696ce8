"""Holders and amounts of every classic asset, by authorization and by where they are held."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, RANGE, TOTALS
from aurora_ingest.transforms.processors.columns import batch_of, json_objects
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec
from aurora_ingest.transforms.processors.sums import SUM_TYPE, halves, joined_halves, running_sums

CATEGORIES = ("authorized", "authorized_to_maintain_liabilities", "claimable_balances", "liquidity_pools", "unauthorized")
_AUTHORIZED, _MAINTAIN, _CLAIMABLE, _POOLS, _UNAUTHORIZED = range(len(CATEGORIES))
_AUTHORIZED_FLAG = 1
_MAINTAIN_FLAG = 2
_CREDIT_TYPES = pa.array([1, 2], pa.int32())
_KEY = ("asset_type", "asset_code", "asset_issuer")
_KEY_FIELDS = (
    pa.field("asset_type", pa.int32(), nullable=False),
    pa.field("asset_code", pa.string(), nullable=False),
    pa.field("asset_issuer", pa.string(), nullable=False),
)
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
        *(pa.field(f"accounts_{category}", pa.int64(), nullable=False) for category in CATEGORIES),
        *(pa.field(f"balance_{category}", SUM_TYPE, nullable=False) for category in CATEGORIES),
    ]
)


def _held(batch: pa.RecordBatch, prefix: str, amount: str, category: pa.Array | int) -> pa.Table:
    """Return (asset, category, 1, amount) of the rows of a batch that hold a credit asset."""
    count = batch.num_rows
    if isinstance(category, int):
        category = pa.repeat(pa.scalar(category, pa.int8()), count)
    high, low = halves(batch.column(amount))
    names = [*_KEY, "category", "high", "low"]
    table = pa.table([*(batch.column(f"{prefix}{name}") for name in _KEY), category, high, low], names=names)
    return table.filter(pc.is_in(table.column("asset_type"), _CREDIT_TYPES))


def asset_stat_partials(
    trust_lines: pa.RecordBatch, claimable_balances: pa.RecordBatch, liquidity_pools: pa.RecordBatch
) -> pa.RecordBatch:
    """Sum what one unit's entries hold of each asset.

    A trust line counts whatever its balance, under what its flags allow; a pool counts once for each of its two
    assets. The native asset and pool shares have no statistics.

    Args:
        trust_lines: entry table ``trust_line``.
        claimable_balances: entry table ``claimable_balance``.
        liquidity_pools: entry table ``liquidity_pool``.

    Returns:
        Rows of ``PARTIAL_SCHEMA``, sorted by asset; amounts in stroops, exact.
    """
    flags = trust_lines.column("flags")
    category = pc.case_when(
        pc.make_struct(
            pc.not_equal(pc.bit_wise_and(flags, _AUTHORIZED_FLAG), 0),
            pc.not_equal(pc.bit_wise_and(flags, _MAINTAIN_FLAG), 0),
        ),
        pa.scalar(_AUTHORIZED, pa.int8()),
        pa.scalar(_MAINTAIN, pa.int8()),
        pa.scalar(_UNAUTHORIZED, pa.int8()),
    )
    held = pa.concat_tables(
        [
            _held(trust_lines, "", "balance", category),
            _held(claimable_balances, "", "amount", _CLAIMABLE),
            _held(liquidity_pools, "a_", "reserve_a", _POOLS),
            _held(liquidity_pools, "b_", "reserve_b", _POOLS),
        ]
    )
    grouped = held.group_by([*_KEY, "category"], use_threads=False).aggregate(
        [("high", "sum"), ("low", "sum"), ("category", "count")]
    )
    return running_sums(_widened(grouped).to_batches(), PARTIAL_SCHEMA, _KEY)


def _widened(grouped: pa.Table) -> pa.Table:
    """Turn one row per asset and category into one with a column per category."""
    amount = joined_halves(grouped.column("high_sum"), grouped.column("low_sum"))
    columns = {name: grouped.column(name) for name in _KEY}
    for number, category in enumerate(CATEGORIES):
        mine = pc.equal(grouped.column("category"), number)
        columns[f"accounts_{category}"] = pc.if_else(mine, grouped.column("category_count"), 0)
        columns[f"balance_{category}"] = pc.if_else(mine, amount, pa.scalar(0, SUM_TYPE))
    return pa.table([columns[name] for name in PARTIAL_SCHEMA.names], schema=PARTIAL_SCHEMA)


def sum_asset_stats(partials: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """Add up partial rows by asset; exact beyond 39 digits."""
    return running_sums(partials, PARTIAL_SCHEMA, _KEY)


def asset_stat_rows(sums: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per asset.

    Args:
        sums: rows of ``PARTIAL_SCHEMA``, one per asset.

    Returns:
        Rows of ``SCHEMA`` in the same order; ``accounts`` and ``balances`` are Horizon's JSON.
    """
    columns = {name: sums.column(name) for name in _KEY}
    counts = [(category, sums.column(f"accounts_{category}")) for category in CATEGORIES]
    amounts = [(category, sums.column(f"balance_{category}")) for category in CATEGORIES]
    columns["accounts"] = json_objects(counts, quoted=False)
    columns["balances"] = json_objects(amounts, quoted=True)
    return batch_of(SCHEMA, columns)


TABLE = TableSpec(
    name="exp_asset_stats",
    schema=SCHEMA,
    primary_key=("asset_code", "asset_issuer", "asset_type"),
    stage=TOTALS,
    columns={},
    rows=lambda unit: asset_stat_rows(unit.post["exp_asset_stats"]),
)
PARTIAL = TableSpec(
    name=f"{PARTIAL_PREFIX}exp_asset_stats",
    schema=PARTIAL_SCHEMA,
    primary_key=(),
    stage=RANGE,
    columns={
        "trust_line": (*_KEY, "balance", "flags"),
        "claimable_balance": (*_KEY, "amount"),
        "liquidity_pool": (*(f"{side}_{name}" for side in "ab" for name in _KEY), "reserve_a", "reserve_b"),
    },
    rows=lambda unit: asset_stat_partials(
        unit.post["trust_line"], unit.post["claimable_balance"], unit.post["liquidity_pool"]
    ),
)


class ProcessExpAssetStats(ProcessTable):
    """Adds the table ``exp_asset_stats``."""

    spec = TABLE


class ProcessPartialExpAssetStats(ProcessTable):
    """Puts sums by asset aside for the totals."""

    spec = PARTIAL
