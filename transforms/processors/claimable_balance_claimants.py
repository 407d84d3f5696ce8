"""Table ``claimable_balance_claimants``: which account may claim which balance."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("destination", pa.string(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
    ]
)


def claimable_balance_claimant_rows(balances: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per claimant, in the order of the balances and, inside one, of its claimants.

    Args:
        balances: entry table ``claimable_balance`` with the columns of ``TABLE.columns``.
    """
    claimants = balances.column("claimants")
    owner = pc.list_parent_indices(claimants)
    columns = [
        balances.column("balance_id").take(owner),
        claimants.flatten().field("destination"),
        balances.column("last_modified_ledger").take(owner),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return claimable_balance_claimant_rows(unit.post["claimable_balance"])


TABLE = TableSpec(
    name="claimable_balance_claimants",
    schema=SCHEMA,
    primary_key=("destination", "id"),
    stage=RANGE,
    columns={"claimable_balance": ("balance_id", "claimants", "last_modified_ledger")},
    rows=_rows,
)


class ProcessClaimableBalanceClaimants(ProcessTable):
    """Adds ``claimable_balance_claimants``."""

    spec = TABLE
