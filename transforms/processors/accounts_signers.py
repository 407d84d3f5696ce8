"""Every key that may sign for an account, the master key among them while its weight is above 0."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.processors.columns import batch_of
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("account_id", pa.string(), nullable=False),
        pa.field("signer", pa.string(), nullable=False),
        pa.field("weight", pa.int64(), nullable=False),
        pa.field("sponsor", pa.string()),
    ]
)


def account_signer_rows(accounts: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per signer.

    Args:
        accounts: entry table ``account`` with account_id, master_weight and signers.

    Returns:
        Rows of ``SCHEMA``: for each account in the order of the entries its master key, if its weight is above 0
        (sponsor null), then its signers as the entry has them.
    """
    owners = accounts.column("account_id")
    weights = accounts.column("master_weight")
    masters = np.flatnonzero(weights.to_numpy(zero_copy_only=False) > 0)
    signers = accounts.column("signers")
    listed = signers.flatten()
    of_listed = pc.list_parent_indices(signers).to_numpy(zero_copy_only=False)
    master_ids = owners.take(pa.array(masters))
    rows = batch_of(
        SCHEMA,
        {
            "account_id": pa.concat_arrays([master_ids, owners.take(pa.array(of_listed))]),
            "signer": pa.concat_arrays([master_ids, listed.field("key")]),
            "weight": pa.concat_arrays([weights.take(pa.array(masters)).cast(pa.int64()), listed.field("weight")]),
            "sponsor": pa.concat_arrays([pa.nulls(len(masters), pa.string()), listed.field("sponsor")]),
        },
    )
    if len(listed) == 0:
        return rows
    return rows.take(pa.array(np.argsort(np.concatenate([masters, of_listed]), kind="stable")))


TABLE = TableSpec(
    name="accounts_signers",
    schema=SCHEMA,
    primary_key=("signer", "account_id"),
    stage=RANGE,
    columns={"account": ("account_id", "master_weight", "signers")},
    rows=lambda unit: account_signer_rows(unit.post["account"]),
)


class ProcessAccountsSigners(ProcessTable):
    """Adds the table ``accounts_signers``."""

    spec = TABLE
