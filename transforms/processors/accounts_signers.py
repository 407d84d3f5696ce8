"""Table ``accounts_signers``: who may sign for which account, the master key among them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
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
    """Make one row per key that may sign for an account.

    Rows of an account stand together in the order of the accounts: first the master key, if its weight is above 0
    (a master key has no sponsor), then the signers as the ledger entry lists them.

    Args:
        accounts: entry table ``account`` with account_id, master_weight and signers, n rows.

    Returns:
        One row per signer and living master key.
    """
    ids = accounts.column("account_id")
    weights = accounts.column("master_weight").cast(pa.int64())
    listed = accounts.column("signers")
    signers = listed.flatten()

    has_master = weights.to_numpy() > 0
    rows = pc.list_value_length(listed).to_numpy() + has_master
    first_rows = np.cumsum(rows) - rows
    is_signer = np.ones(rows.sum(), dtype=np.bool_)
    is_signer[first_rows[has_master]] = False
    owner, place = pa.array(np.repeat(np.arange(len(rows)), rows)), pa.array(is_signer)

    owners = ids.take(owner)
    columns = [
        owners,
        pc.replace_with_mask(owners, place, signers.field("key")),
        pc.replace_with_mask(weights.take(owner), place, signers.field("weight")),
        pc.replace_with_mask(pa.nulls(len(owner), pa.string()), place, signers.field("sponsor")),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return account_signer_rows(unit.post["account"])


TABLE = TableSpec(
    name="accounts_signers",
    schema=SCHEMA,
    primary_key=("signer", "account_id"),
    stage=RANGE,
    columns={"account": ("account_id", "master_weight", "signers")},
    rows=_rows,
)


class ProcessAccountsSigners(ProcessTable):
    """Adds ``accounts_signers``."""

    spec = TABLE
