"""Who may claim which claimable balance, one row per claimant."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.processors.columns import batch_of
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("destination", pa.string(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
    ]
)


def claimable_balance_claimant_rows(balances: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per claimant of each claimable balance.

    Args:
        balances: entry table ``claimable_balance``.

    Returns:
        Rows of ``SCHEMA`` in the order of the entries, then of their claimants.
    """
    claimants = balances.column("claimants")
    parents = pc.list_parent_indices(claimants)
    return batch_of(
        SCHEMA,
        {
            "id": balances.column("balance_id").take(parents),
            "destination": claimants.flatten().field("destination"),
            "last_modified_ledger": balances.column("last_modified_ledger").take(parents),
        },
    )


TABLE = TableSpec(
    name="claimable_balance_claimants",
    schema=SCHEMA,
    primary_key=("destination", "id"),
    stage=RANGE,
    columns={"claimable_balance": ("balance_id", "claimants", "last_modified_ledger")},
    rows=lambda unit: claimable_balance_claimant_rows(unit.post["claimable_balance"]),
)


class ProcessClaimableBalanceClaimants(ProcessTable):
    """Adds the table ``claimable_balance_claimants``."""

    spec = TABLE
