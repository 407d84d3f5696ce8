"""Table ``liquidity_pools``: constant-product pools with their reserves."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import joined, never, selected, text_of
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("type", pa.int32(), nullable=False),
        pa.field("fee", pa.int32(), nullable=False),
        pa.field("trustline_count", pa.int64(), nullable=False),
        pa.field("share_count", pa.int64(), nullable=False),
        pa.field("asset_reserves", pa.string(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
        pa.field("deleted", pa.bool_(), nullable=False),
    ]
)


def liquidity_pool_rows(pools: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per pool, in the same order.

    ``id`` is hex, ``fee`` in hundredths of a percent, ``share_count`` in stroops. ``asset_reserves`` is the JSON of
    Horizon's jsonb column: base64 XDR asset and reserve in stroops (text) of both sides. A snapshot has no
    ``deleted`` pool.

    Args:
        pools: entry table ``liquidity_pool`` with the columns of ``TABLE.columns``.
    """
    return selected(
        pools,
        SCHEMA,
        id=pools.column("pool_id"),
        type=pools.column("pool_type"),
        share_count=pools.column("total_shares"),
        asset_reserves=joined(
            '[{"asset": "',
            pools.column("a_asset_base64"),
            '", "reserve": "',
            text_of(pools.column("reserve_a")),
            '"}, {"asset": "',
            pools.column("b_asset_base64"),
            '", "reserve": "',
            text_of(pools.column("reserve_b")),
            '"}]',
        ),
        deleted=never(len(pools)),
    )


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return liquidity_pool_rows(unit.post["liquidity_pool"])


TABLE = TableSpec(
    name="liquidity_pools",
    schema=SCHEMA,
    primary_key=("id",),
    stage=RANGE,
    columns={
        "liquidity_pool": (
            "pool_id",
            "pool_type",
            "fee",
            "trustline_count",
            "total_shares",
            "a_asset_base64",
            "reserve_a",
            "b_asset_base64",
            "reserve_b",
            "last_modified_ledger",
        )
    },
    rows=_rows,
)


class ProcessLiquidityPools(ProcessTable):
    """Adds ``liquidity_pools``."""

    spec = TABLE
