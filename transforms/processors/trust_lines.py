"""Table ``trust_lines``: what accounts hold of issued assets and of pool shares."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import or_empty, selected
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


def trust_line_rows(trust_lines: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per trust line, in the same order.

    Amounts are stroops. A line of pool shares (asset_type 3) has '' as code and issuer, another one '' as pool id.

    Args:
        trust_lines: entry table ``trust_line`` with the columns of ``TABLE.columns``.
    """
    return selected(
        trust_lines,
        SCHEMA,
        ledger_key=trust_lines.column("ledger_key_base64"),
        asset_issuer=or_empty(trust_lines.column("asset_issuer")),
        asset_code=or_empty(trust_lines.column("asset_code")),
        liquidity_pool_id=or_empty(trust_lines.column("liquidity_pool_id")),
    )


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return trust_line_rows(unit.post["trust_line"])


TABLE = TableSpec(
    name="trust_lines",
    schema=SCHEMA,
    primary_key=("ledger_key",),
    stage=RANGE,
    columns={"trust_line": ("ledger_key_base64", *SCHEMA.names[1:])},
    rows=_rows,
)


class ProcessTrustLines(ProcessTable):
    """Adds ``trust_lines``."""

    spec = TABLE
