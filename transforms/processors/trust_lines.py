"""Trust lines, pool shares among them."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.processors.columns import batch_of, text_or_empty
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("ledger_key", pa.string(), nullable=False),
        pa.field("account_id", pa.string(), nullable=False),
        pa.field("asset_type", pa.int32(), nullable=False),
        pa.field("asset_issuer", pa.string(), nullable=False),
        pa.field("asset_code", pa.string(), nullable=False),
        pa.field("balance", pa.int64(), nullable=False),
        pa.field("trust_line_limit", pa.int64(), nullable=False),
        pa.field("buying_liabilities", pa.int64(), nullable=False),
        pa.field("selling_liabilities", pa.int64(), nullable=False),
        pa.field("flags", pa.int64(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
        pa.field("sponsor", pa.string()),
        pa.field("liquidity_pool_id", pa.string()),
    ]
)
_EMPTY_FOR_NULL = ("asset_issuer", "asset_code", "liquidity_pool_id")


def trust_line_rows(trust_lines: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per trust line.

    Args:
        trust_lines: entry table ``trust_line``; balances, limits and liabilities in stroops.

    Returns:
        Rows of ``SCHEMA`` in the order of the entries. A pool share has an empty code and issuer, an asset an empty
        pool id, as in Horizon's table.
    """
    columns = {
        name: trust_lines.column("ledger_key_base64" if name == "ledger_key" else name) for name in SCHEMA.names
    }
    for name in _EMPTY_FOR_NULL:
        columns[name] = text_or_empty(columns[name])
    return batch_of(SCHEMA, columns)


TABLE = TableSpec(
    name="trust_lines",
    schema=SCHEMA,
    primary_key=("ledger_key",),
    stage=RANGE,
    columns={"trust_line": ("ledger_key_base64", *SCHEMA.names[1:])},
    rows=lambda unit: trust_line_rows(unit.post["trust_line"]),
)


class ProcessTrustLines(ProcessTable):
    """Adds the table ``trust_lines``."""

    spec = TABLE
