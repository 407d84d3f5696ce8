"""What contracts hold of assets, in asset contracts."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import PARTITION
from aurora_ingest.transforms.processors.asset_contracts import BALANCE, live_rows
from aurora_ingest.transforms.processors.columns import renamed
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("key_hash", pa.binary(32), nullable=False),
        pa.field("asset_contract_id", pa.binary(32), nullable=False),
        pa.field("amount", pa.decimal256(39, 0), nullable=False),
        pa.field("expiration_ledger", pa.int64(), nullable=False),
    ]
)
_SOURCES = {"asset_contract_id": "contract_id", "expiration_ledger": "live_until_ledger"}


def contract_asset_balance_rows(entries: pa.RecordBatch, ledger: int) -> pa.RecordBatch:
    """Make one row per balance that lives at a ledger.

    Args:
        entries: asset-contract rows of one partition with ``live_until_ledger``, sorted by key_hash.
        ledger: ledger of the state.

    Returns:
        Rows of ``SCHEMA``, sorted by key_hash; amounts are exact 128-bit integers.
    """
    return renamed(live_rows(entries, BALANCE, ledger), SCHEMA, _SOURCES)


TABLE = TableSpec(
    name="contract_asset_balances",
    schema=SCHEMA,
    primary_key=("key_hash",),
    stage=PARTITION,
    columns={},
    rows=lambda unit: contract_asset_balance_rows(unit.post["asset_contract_rows"], unit.last_ledger),
)


class ProcessContractAssetBalances(ProcessTable):
    """Adds the table ``contract_asset_balances``."""

    spec = TABLE
