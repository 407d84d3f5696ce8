"""Claimable balances with their claimants, in Horizon's form and with SEP-51 predicates."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.processors.columns import batch_of, concat_text
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("claimants", pa.string(), nullable=False),
        pa.field("asset", pa.string(), nullable=False),
        pa.field("amount", pa.int64(), nullable=False),
        pa.field("sponsor", pa.string()),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
        pa.field("flags", pa.int64(), nullable=False),
        pa.field("predicates", pa.string(), nullable=False),
    ]
)
COLUMNS = (
    "balance_id",
    "claimants",
    "claimants_json",
    "asset_base64",
    "amount",
    "sponsor",
    "last_modified_ledger",
    "flags",
)


def claimable_balance_rows(balances: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per claimable balance.

    Args:
        balances: entry table ``claimable_balance``; amounts in stroops.

    Returns:
        Rows of ``SCHEMA`` in the order of the entries. ``claimants`` is Horizon's JSON; ``predicates`` a JSON array of
        SEP-51 predicates in the order of the claimants.
    """
    claimants = balances.column("claimants")
    predicates = pa.ListArray.from_arrays(claimants.offsets, claimants.values.field("predicate_json"))
    return batch_of(
        SCHEMA,
        {
            "id": balances.column("balance_id"),
            "claimants": balances.column("claimants_json"),
            "asset": balances.column("asset_base64"),
            "amount": balances.column("amount"),
            "sponsor": balances.column("sponsor"),
            "last_modified_ledger": balances.column("last_modified_ledger"),
            "flags": balances.column("flags"),
            "predicates": concat_text("[", pc.binary_join(predicates, ", "), "]"),
        },
    )


TABLE = TableSpec(
    name="claimable_balances",
    schema=SCHEMA,
    primary_key=("id",),
    stage=RANGE,
    columns={"claimable_balance": COLUMNS},
    rows=lambda unit: claimable_balance_rows(unit.post["claimable_balance"]),
)


class ProcessClaimableBalances(ProcessTable):
    """Adds the table ``claimable_balances``."""

    spec = TABLE
