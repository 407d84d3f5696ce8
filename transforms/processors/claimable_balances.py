"""Table ``claimable_balances``: amounts set aside for claimants, with the conditions of each."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import joined, selected
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


def claimable_balance_rows(balances: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per claimable balance, in the same order.

    ``id`` is hex of the XDR id (72 digits), ``asset`` base64 XDR, ``amount`` in stroops. ``claimants`` is the JSON
    of Horizon's jsonb column; ``predicates`` is a JSON array of the same predicates as SEP-51 writes them, in the
    order of the claimants.

    Args:
        balances: entry table ``claimable_balance`` with the columns of ``TABLE.columns``.
    """
    return selected(
        balances,
        SCHEMA,
        id=balances.column("balance_id"),
        claimants=balances.column("claimants_json"),
        asset=balances.column("asset_base64"),
        predicates=_predicates(balances.column("claimants")),
    )


def _predicates(claimants: pa.ListArray) -> pa.Array:
    """Return list<struct<destination, predicate_json>> as JSON arrays of the predicates."""
    lengths = pc.list_value_length(claimants)
    ends = pc.cumulative_sum(lengths)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())])
    texts = pa.ListArray.from_arrays(offsets, claimants.flatten().field("predicate_json"))
    return joined("[", pc.binary_join(texts, ", "), "]")


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return claimable_balance_rows(unit.post["claimable_balance"])


TABLE = TableSpec(
    name="claimable_balances",
    schema=SCHEMA,
    primary_key=("id",),
    stage=RANGE,
    columns={
        "claimable_balance": (
            "balance_id",
            "claimants",
            "claimants_json",
            "asset_base64",
            "amount",
            "sponsor",
            "last_modified_ledger",
            "flags",
        )
    },
    rows=_rows,
)


class ProcessClaimableBalances(ProcessTable):
    """Adds ``claimable_balances``."""

    spec = TABLE
