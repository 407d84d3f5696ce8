"""Table ``contract_asset_balances``: what asset contracts keep for other contracts."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import PARTITION, LedgerUnit
from aurora_ingest.transforms.processors.asset_contracts import BALANCE, JOINED, living
from aurora_ingest.transforms.processors.asset_contracts import TABLE as ASSET_CONTRACTS
from aurora_ingest.transforms.processors.columns import HASH, selected
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("key_hash", HASH, nullable=False),
        pa.field("asset_contract_id", HASH, nullable=False),
        pa.field("amount", pa.decimal256(39, 0), nullable=False),
        pa.field("expiration_ledger", pa.int64(), nullable=False),
    ]
)


def contract_asset_balance_rows(joined: pa.RecordBatch, ledger: int) -> pa.RecordBatch:
    """Make one row per living balance of a contract in an asset contract, in the same order.

    Args:
        joined: rows of ``partial:asset_contracts`` with ``live_until_ledger``.
        ledger: the ledger of the state; expired balances are left out, as in Horizon.
    """
    found = living(joined, BALANCE, ledger)
    return selected(
        found,
        SCHEMA,
        asset_contract_id=found.column("contract_id"),
        expiration_ledger=found.column("live_until_ledger"),
    )


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return contract_asset_balance_rows(unit.post[JOINED], unit.last_ledger)


TABLE = TableSpec(
    name="contract_asset_balances",
    schema=SCHEMA,
    primary_key=("key_hash",),
    stage=PARTITION,
    columns={},
    rows=_rows,
    needs=ASSET_CONTRACTS.needs,
)


class ProcessContractAssetBalances(ProcessTable):
    """Adds ``contract_asset_balances``."""

    spec = TABLE
