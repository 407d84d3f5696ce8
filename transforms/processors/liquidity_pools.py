"""Constant-product liquidity pools with their reserves."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.processors.columns import batch_of, concat_text, constant
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
COLUMNS = (
    "pool_id",
    "pool_type",
    "fee",
    "trustline_count",
    "total_shares",
    "a_asset_base64",
    "b_asset_base64",
    "reserve_a",
    "reserve_b",
    "last_modified_ledger",
)


def liquidity_pool_rows(pools: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per liquidity pool.

    Args:
        pools: entry table ``liquidity_pool``; reserves and shares in stroops.

    Returns:
        Rows of ``SCHEMA`` in the order of the entries; ``asset_reserves`` is Horizon's JSON array of base64 assets
        and reserves.
    """
    reserves = concat_text(
        '[{"asset": "',
        pools.column("a_asset_base64"),
        '", "reserve": "',
        pc.cast(pools.column("reserve_a"), pa.string()),
        '"}, {"asset": "',
        pools.column("b_asset_base64"),
        '", "reserve": "',
        pc.cast(pools.column("reserve_b"), pa.string()),
        '"}]',
    )
    return batch_of(
        SCHEMA,
        {
            "id": pools.column("pool_id"),
            "type": pools.column("pool_type"),
            "fee": pools.column("fee"),
            "trustline_count": pools.column("trustline_count"),
            "share_count": pools.column("total_shares"),
            "asset_reserves": reserves,
            "last_modified_ledger": pools.column("last_modified_ledger"),
            "deleted": constant(value=False, kind=pa.bool_(), length=pools.num_rows),
        },
    )


TABLE = TableSpec(
    name="liquidity_pools",
    schema=SCHEMA,
    primary_key=("id",),
    stage=RANGE,
    columns={"liquidity_pool": COLUMNS},
    rows=lambda unit: liquidity_pool_rows(unit.post["liquidity_pool"]),
)


class ProcessLiquidityPools(ProcessTable):
    """Adds the table ``liquidity_pools``."""

    spec = TABLE
